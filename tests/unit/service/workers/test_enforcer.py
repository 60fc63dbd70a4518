from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from service.core.alerts import Alert
from service.errors import BadRecord
from service.events.log import Position, Received, Record, Topic
from service.events.schema import Crossing, Opened, Verdict, to_record
from service.store import Store
from service.store.alerts import list_alerts, settle
from service.workers.enforcer import KEEP_S, Enforcer
from tests.real_parts.store import new_store

NOW = 1_000_000.0
PROMPT = Crossing("lexical/any/prompt/page", "any", 0.99, 0.97, "page")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = new_store(tmp_path / "watchgate.db")
    yield opened
    opened.close()


def verdict(number: int, *crossed: Crossing, model: str = "m") -> Verdict:
    return Verdict(
        exchange_id=f"ex-{number}",
        at=NOW - 5,
        account="acme",
        project="acme",
        key="key_acme",
        model=model,
        surface="chat",
        tier=1,
        id=f"verdict-{number}",
        part="prompt",
        detector="lexical",
        version="1",
        digest="00" * 32,
        crossed=crossed,
    )


def received(event: Verdict | Opened) -> Received:
    return Received(to_record(event), Position("test", 0, 1))


def enforce(store: Store, *events: Verdict, now: float = NOW) -> list[str]:
    """Handle events in one batch as a new enforcer; return the actions that it took."""
    actions: list[str] = []
    enforcer = Enforcer(store, clock=lambda: now, on_enforced=actions.append)
    enforcer.handle([received(event) for event in events])
    return actions


def firing(store: Store) -> list[Alert]:
    with store.read() as connection:
        return list(list_alerts(connection))


def test_what_was_blocked_and_what_was_only_observed_are_two_alerts(store: Store) -> None:
    blocked = structs.replace(verdict(2, PROMPT), enforced="blocked")
    enforce(store, verdict(1, PROMPT), blocked, verdict(3, PROMPT))
    assert [(it.labels["enforced"], it.count) for it in firing(store)] == [
        ("blocked", 1),
        ("observed", 2),
    ]


def test_a_verdict_over_a_point_that_pages_raises_an_alert(store: Store) -> None:
    assert enforce(store, verdict(1, PROMPT)) == ["page"]
    (alert,) = firing(store)
    assert alert.labels == {
        "alertname": "WatchgateMisuse",
        "model": "m",
        "detector": "lexical",
        "category": "any",
        "part": "prompt",
        "point": "lexical/any/prompt/page",
        "enforced": "observed",
    }
    assert (alert.count, alert.raised_at, alert.last_exchange_at) == (1, NOW, NOW - 5)


def test_a_verdict_that_crosses_nothing_raises_nothing(store: Store) -> None:
    assert enforce(store, verdict(1)) == []
    assert firing(store) == []


@pytest.mark.parametrize("action", ["record", "case"])
def test_a_point_that_does_not_page_raises_nothing(store: Store, action: str) -> None:
    crossing = Crossing(f"lexical/any/prompt/{action}", "any", 0.99, 0.5, action)
    assert enforce(store, verdict(1, crossing)) == []
    assert firing(store) == []


def test_a_verdict_that_comes_twice_counts_once(store: Store) -> None:
    assert enforce(store, verdict(1, PROMPT), verdict(1, PROMPT)) == ["page"]
    assert enforce(store, verdict(1, PROMPT), verdict(2, PROMPT)) == ["page"]
    assert [alert.count for alert in firing(store)] == [2]


def test_a_batch_that_comes_again_long_after_its_alert_ended_does_not_page_again(
    store: Store,
) -> None:
    enforce(store, verdict(1, PROMPT))
    with store.begin() as connection:
        settle(connection, [], quiet_since=NOW, now=NOW + 1)
    assert enforce(store, verdict(1, PROMPT), now=NOW + KEEP_S) == []
    assert firing(store) == []


def test_a_crash_before_the_commit_leaves_the_effect_to_the_next_time(store: Store) -> None:
    def crash(_action: str) -> None:
        raise KeyboardInterrupt

    enforcer = Enforcer(store, clock=lambda: NOW, on_enforced=crash)
    batch = [received(verdict(1, PROMPT)), received(verdict(2, PROMPT))]
    with pytest.raises(KeyboardInterrupt):  # durable by now, but not acknowledged to the log
        enforcer.handle(batch)
    assert enforce(store, verdict(1, PROMPT), verdict(2, PROMPT)) == []
    assert [alert.count for alert in firing(store)] == [2]


def test_each_category_over_its_point_is_an_alert_of_its_own(store: Store) -> None:
    bio = Crossing("lexical/bio/prompt/page", "bio", 0.95, 0.9, "page")
    assert enforce(store, verdict(1, PROMPT, bio)) == ["page", "page"]
    assert {alert.labels["category"] for alert in firing(store)} == {"any", "bio"}


def test_one_exchange_counts_once_in_an_alert_with_its_highest_score(store: Store) -> None:
    lower = Crossing(PROMPT.point, "any", 0.98, 0.97, "page")
    assert enforce(store, verdict(1, PROMPT, lower)) == ["page"]
    assert [(alert.count, alert.score) for alert in firing(store)] == [(1, 0.99)]


def test_models_have_alerts_of_their_own(store: Store) -> None:
    enforce(store, verdict(1, PROMPT), verdict(2, PROMPT, model="other"))
    assert {alert.labels["model"] for alert in firing(store)} == {"m", "other"}


@pytest.mark.parametrize(
    ("body", "reason"), [(b"{", "undecodable"), (b'{"kind":"closed"}', "undecodable")]
)
def test_a_batch_with_a_bad_record_has_no_effect_until_it_is_taken_out(
    store: Store, body: bytes, reason: str
) -> None:
    good = received(verdict(1, PROMPT))
    bad = replace(good, record=Record(Topic.VERDICTS, b"acme", "verdict", "x", body))
    enforcer = Enforcer(store, clock=lambda: NOW)
    with pytest.raises(BadRecord) as caught:
        enforcer.handle([good, bad])
    assert caught.value.reason == reason
    assert firing(store) == []
    enforcer.handle_one(good)
    assert [alert.count for alert in firing(store)] == [1]


def test_a_record_that_is_no_verdict_is_bad(store: Store) -> None:
    opened = Opened(
        exchange_id="ex-1",
        at=NOW,
        account="acme",
        project="acme",
        key="key_acme",
        model="m",
        surface="chat",
        tier=1,
        upstream="local",
        stream=False,
    )
    with pytest.raises(BadRecord) as caught:
        Enforcer(store, clock=lambda: NOW).handle_one(received(opened))
    assert caught.value.reason == "not_a_verdict"


def test_what_is_older_than_any_log_keeps_is_forgotten(store: Store) -> None:
    enforce(store, verdict(1, PROMPT))
    enforce(store, verdict(2), now=NOW + KEEP_S + 1)
    assert enforce(store, verdict(1, PROMPT), now=NOW + KEEP_S + 2) == ["page"]
