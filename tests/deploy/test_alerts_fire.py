"""Faults of a running site: each fires its alert and pages for nothing else, until it is mended.

A real Prometheus scrapes Watchgate's real processes, and holds them to the rules of the chart at
sixty times the speed (hurried.py); a real Alertmanager calls a pager.
"""

import json
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

import pytest

from tests.deploy.alert_site import Callers, Site, site
from tests.deploy.callers import asking

STEADY_PAUSE_S: Final = 0.1
FLOOD_PAUSE_S: Final = 0.005
WELL_S: Final = 12.0
FIRES_S: Final = 150.0
"""An unscreened exchange of tier 2 is a gap after 60 s of its own time."""
RESOLVES_S: Final = 120.0
PAGER_S: Final = 30.0
BEFORE_THE_FIRST_SCRAPE: Final = {
    "WatchgateCoverageUnknown",
    "WatchgateNotScraped",
    "WatchgateProcessMissing",
    "WatchgateMisuse",
}
"""At this speed these may fire while Prometheus starts; the last is Watchgate's own."""
PAGE, TICKET = "page", "ticket"

Alerts = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Fault:
    """What goes wrong, what it fires (name → severity), and how it is mended."""

    name: str
    alerts: Mapping[str, str]
    inject: Callable[[Site], object] = lambda _: None
    mend: Callable[[Site], object] = lambda _: None
    calls: Callable[[Callers], Sequence[Callable[[], object]]] = lambda _: ()
    """What is asked while it lasts, beside what is asked always."""


def expire_a_point(one: Site) -> None:
    """Let a point apply for a second."""
    threshold = ["--detector", "lexical", "--category", "any", "--threshold", "0.99"]
    scope = ["--part", "prompt", "--action", "record", "--expires", "1s"]
    why = ["--reason", "a test", "--json"]
    point = json.loads(one.watchgate.command("points", "propose", *threshold, *scope, *why))
    one.watchgate.command("points", "promote", point["id"], *why)


def retire_the_point(one: Site) -> None:
    """End the point of the store."""
    points = json.loads(one.watchgate.command("points", "list", "--json"))
    [id_] = {it["id"] for it in points if it["source"] == "store"}
    one.watchgate.command("points", "retire", id_, "--reason", "a test")


def change_the_audit_log(one: Site) -> None:
    """Write to its last entry past Watchgate."""
    one.write_to_the_store(
        "DROP TRIGGER audit_no_update;"
        "UPDATE audit SET mac = zeroblob(32) WHERE seq = (SELECT max(seq) FROM audit)"
    )


TOGETHER: Final = (
    (
        Fault(
            "the screener stands still",
            {
                "WatchgateCoverageGap": PAGE,
                "WatchgateSafeguardInactive": PAGE,
                "WatchgateProcessMissing": PAGE,
                "WatchgateTargetDown": TICKET,
            },
            lambda one: one.stand_still("screener"),
            lambda one: one.signal("screener", signal.SIGCONT),
        ),
        Fault(
            "vLLM hides its metrics",
            {"WatchgateVllmDown": TICKET},
            lambda one: one.vllm_metrics.shut(),
            lambda one: one.vllm_metrics.open(),
        ),
        Fault(
            "somebody tries keys",
            {"WatchgateAuthFailures": TICKET},
            calls=lambda callers: [callers.wrong_keys] * 3,
        ),
        Fault(
            "somebody tries admin tokens",
            {"WatchgateAdminAuthFailures": TICKET},
            calls=lambda callers: [callers.wrong_admin_tokens],
        ),
        Fault(
            "a project asks for a model that it may not use",
            {"WatchgateAccessDenied": TICKET},
            calls=lambda callers: [callers.not_allowed] * 2,
        ),
        Fault(
            "a project asks for more than its limit",
            {"WatchgateRateLimited": TICKET},
            calls=lambda callers: [callers.too_many] * 2,
        ),
    ),
    (
        Fault(
            "Redis is away",
            {"WatchgateLimitsAway": TICKET},
            lambda one: one.redis.kill(),
            lambda one: one.redis.start(),
        ),
        Fault(
            "Watchgate's alerts do not reach Alertmanager",
            {"WatchgateMisuseAlertsNotDelivered": PAGE},
            lambda one: one.misuse_alerts.shut(),
            lambda one: one.misuse_alerts.open(),
        ),
        Fault(
            "a record is not readable",
            {"WatchgateDeadLetters": TICKET},
            Site.append_unreadable,
        ),
        Fault(
            "a point expires",
            {"WatchgatePointsExpired": TICKET},
            expire_a_point,
            retire_the_point,
        ),
        Fault(
            "a file of rules is spoiled",
            {"WatchgateDetectorFilesRefused": TICKET},
            lambda one: one.house_rules.write_text("rules: [{"),
            Site.write_rules,
        ),
        Fault(
            "the audit log is changed past Watchgate",
            {"WatchgateAuditLogBroken": PAGE},
            change_the_audit_log,
        ),
    ),
    (
        Fault(
            "vLLM is away",
            {"WatchgateUpstreamDown": PAGE},
            lambda one: one.vllm.shut(),
            lambda one: one.vllm.open(),
        ),
        Fault(
            "the enforcer is dead",
            {
                "WatchgateCoverageUnknown": PAGE,
                "WatchgateProcessMissing": PAGE,
                "WatchgateTargetDown": TICKET,
            },
            lambda one: one.watchgate.kill("enforcer"),
            lambda one: one.watchgate.start("enforcer"),
        ),
    ),
)
FAULTS: Final = [fault for batch in TOGETHER for fault in batch]
WANTED_OF_PAGER: Final = {
    (name, status) for fault in FAULTS for name in fault.alerts for status in ("firing", "resolved")
}


@dataclass
class Told:
    """What fired while all was well, while faults of a batch lasted, and once they were mended."""

    while_well: Alerts = frozenset()
    fired: list[Alerts] = field(default_factory=list)
    left: list[Alerts] = field(default_factory=list)
    pager: set[tuple[str, str]] = field(default_factory=set)
    """Names and statuses of what the pager heard."""
    pages: set[str] = field(default_factory=set)
    """What would have woken somebody up."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Break it and mend it, batch by batch, and tell what fired."""
    told = Told()
    with (
        site(tmp_path_factory.mktemp("site")) as (one, callers),
        asking(callers.steady, STEADY_PAUSE_S),
    ):
        told.while_well = seen(one, WELL_S, lambda _: False)
        for batch in TOGETHER:
            told.fired.append(break_it(one, callers, batch))
            told.left.append(mended(one, batch))
        told.pager = heard(one)
        alerts = one.pager.heard("firing")
        told.pages = {
            it["labels"]["alertname"] for it in alerts if it["labels"].get("severity") == PAGE
        }
    return told


def heard(one: Site) -> set[tuple[str, str]]:
    """Return what the pager heard, once it was told that all is over or should have been."""
    deadline = time.monotonic() + PAGER_S
    while True:
        alerts = one.pager.heard("firing") + one.pager.heard("resolved")
        found = {(it["labels"]["alertname"], it["status"]) for it in alerts}
        if found >= WANTED_OF_PAGER or time.monotonic() > deadline:
            return found
        time.sleep(0.5)


def break_it(one: Site, callers: Callers, batch: Sequence[Fault]) -> Alerts:
    wanted = {alert for fault in batch for alert in fault.alerts.items()}
    calls = [call for fault in batch for call in fault.calls(callers)]
    with ExitStack() as stack:
        if calls:
            stack.enter_context(asking(calls, FLOOD_PAUSE_S))
        for fault in batch:
            fault.inject(one)
        return seen(one, FIRES_S, lambda fired: wanted <= fired)


def mended(one: Site, batch: Sequence[Fault]) -> Alerts:
    """Mend it, the last fault first, and return what fires then for longer than it may."""
    for fault in reversed(batch):
        fault.mend(one)
    deadline = time.monotonic() + RESOLVES_S
    while (firing := one.firing()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return firing


def seen(one: Site, for_s: float, is_enough: Callable[[Alerts], bool]) -> Alerts:
    """Look at what fires until it is enough, or for so long; return all that was seen."""
    fired: Alerts = frozenset()
    deadline = time.monotonic() + for_s
    while not is_enough(fired) and time.monotonic() < deadline:
        fired |= one.firing()
        time.sleep(0.5)
    return fired


def batch_of(fault: Fault) -> int:
    return next(number for number, batch in enumerate(TOGETHER) if fault in batch)


def test_nothing_fires_while_all_is_well(told: Told) -> None:
    assert told.while_well == frozenset()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_fires_its_alerts_until_it_is_mended(told: Told, fault: Fault) -> None:
    number = batch_of(fault)
    assert set(fault.alerts.items()) <= told.fired[number]
    assert not set(fault.alerts) & {name for name, _ in told.left[number]}


@pytest.mark.parametrize("number", range(len(TOGETHER)))
def test_nothing_else_pages(told: Told, number: int) -> None:
    wanted = {alert for fault in TOGETHER[number] for alert in fault.alerts.items()}
    assert {it for it in told.fired[number] - wanted if it[1] == PAGE} == set()
    assert told.left[number] == frozenset()


def test_the_pager_hears_of_each_and_that_it_is_over_and_of_no_other(told: Told) -> None:
    assert told.pager >= WANTED_OF_PAGER
    pages = {name for fault in FAULTS for name, it in fault.alerts.items() if it == PAGE}
    assert told.pages - BEFORE_THE_FIRST_SCRAPE == pages - BEFORE_THE_FIRST_SCRAPE
