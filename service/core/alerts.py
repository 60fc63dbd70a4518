"""When an alert fires, when it is resolved, and what an Alertmanager is told of it.

An alert groups the verdicts that crossed one operating point for one model and category, and
after which the gateway did the same. It fires from the first of them until `hold_s` after the
last. Then it is resolved, and the next verdict begins another. Who is behind an exchange stands in
no label and no annotation: alerts travel through pagers and chats, the evidence stays here.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

ALERT_NAME: Final = "WatchgateMisuse"
RESENDS_MISSED: Final = 4
"""An Alertmanager resolves an alert by itself after this many resends that did not come; the
figure is Prometheus's own."""
MAX_BACKOFF_DOUBLINGS: Final = 16
_DONE: Final = {"blocked": "blocked", "cut_off": "cut off"}
"""What the gateway did, in words; of other values nothing."""


class State(StrEnum):
    """What an Alertmanager is told."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One exchange over an operating point that pages."""

    labels: Mapping[str, str]
    exchange_id: str
    at: float
    score: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Occurrences:
    """What one alert is raised, or goes on, with."""

    fingerprint: str
    labels: Mapping[str, str]
    count: int
    first_at: float
    last_at: float
    last_exchange_id: str
    score: float
    """The highest."""
    threshold: float


@dataclass(frozen=True, slots=True)
class Alert:
    """Occurrences with the same labels, from the first until it was quiet for long enough.

    `raised_at`, `last_at` and `resolved_at` are when Watchgate acted, `first_exchange_at` and
    `last_exchange_at` when the exchanges were judged: a backlog that is worked off late pages
    all the same.
    """

    id: int
    labels: Mapping[str, str]
    count: int
    raised_at: float
    last_at: float
    resolved_at: float | None
    first_exchange_at: float
    last_exchange_at: float
    last_exchange_id: str
    score: float
    """The highest so far."""
    threshold: float

    @property
    def state(self) -> State:
        """Whether it still fires here; an Alertmanager that was away may be behind."""
        return State.FIRING if self.resolved_at is None else State.RESOLVED


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far one Alertmanager was told of one alert."""

    alert_id: int
    url: str
    next_at: float
    failures: int = 0
    """In a row."""
    error: str | None = None
    firing_acked_at: float | None = None
    """When it first acknowledged that the alert fires."""
    resolved_acked_at: float | None = None


def labels_of(  # noqa: PLR0913  (a label each)
    model: str, detector: str, category: str, part: str, point: str, *, enforced: str
) -> dict[str, str]:
    """Return the labels that make an alert what it is, all from closed sets."""
    return {
        "alertname": ALERT_NAME,
        "model": model,
        "detector": detector,
        "category": category,
        "part": part,
        "point": point,
        "enforced": enforced,
    }


def fingerprint(labels: Mapping[str, str]) -> str:
    """Return 32 hex digits that only these labels have."""
    canonical = json.dumps(sorted(labels.items()), separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def gather(occurrences: Iterable[Occurrence]) -> list[Occurrences]:
    """Put together what has the same labels, in the order in which the labels came first."""
    groups: dict[str, list[Occurrence]] = {}
    for occurrence in occurrences:
        groups.setdefault(fingerprint(occurrence.labels), []).append(occurrence)
    return [_sum_up(mark, group) for mark, group in groups.items()]


def _sum_up(mark: str, group: Sequence[Occurrence]) -> Occurrences:
    last = max(group, key=lambda occurrence: occurrence.at)
    return Occurrences(
        fingerprint=mark,
        labels=last.labels,
        count=len(group),
        first_at=min(occurrence.at for occurrence in group),
        last_at=last.at,
        last_exchange_id=last.exchange_id,
        score=max(occurrence.score for occurrence in group),
        threshold=last.threshold,
    )


def is_quiet(last_at: float, hold_s: float, now: float) -> bool:
    """Whether nothing came for so long that the alert is to be resolved."""
    return now >= last_at + hold_s


def state_to_send(alert: Alert, delivery: Delivery, hold_s: float, now: float) -> State:
    """Decide what this Alertmanager is told now.

    One that was away while the alert fired is told so nevertheless, and for `hold_s`: an alert
    that arrives resolved, or is resolved before it was grouped, pages nobody.
    """
    if alert.resolved_at is None or delivery.firing_acked_at is None:
        return State.FIRING
    heard_long_enough = is_quiet(delivery.firing_acked_at, hold_s, now)
    return State.RESOLVED if heard_long_enough else State.FIRING


def acknowledged(delivery: Delivery, state: State, now: float, resend_s: float) -> Delivery:
    """Return the delivery after the Alertmanager took it."""
    done = replace(delivery, next_at=now + resend_s, failures=0, error=None)
    if state is State.RESOLVED:
        return replace(done, resolved_acked_at=now)
    first_acked_at = now if done.firing_acked_at is None else done.firing_acked_at
    return replace(done, firing_acked_at=first_acked_at)


def failed(delivery: Delivery, error: str, now: float, resend_s: float) -> Delivery:
    """Return the delivery after it failed: tried again after 1 s, 2 s, 4 s … up to `resend_s`."""
    wait_s = min(resend_s, 2.0 ** min(delivery.failures, MAX_BACKOFF_DOUBLINGS))
    return replace(delivery, next_at=now + wait_s, failures=delivery.failures + 1, error=error)


def payload(
    alert: Alert, state: State, *, now: float, hold_s: float, resend_s: float
) -> dict[str, Any]:
    """Return one entry of the list that Alertmanager's `POST /api/v2/alerts` takes."""
    return {
        "labels": dict(alert.labels),
        "annotations": _annotations(alert),
        "startsAt": timestamp(alert.raised_at),
        "endsAt": timestamp(_ends_at(alert, state, now, hold_s, resend_s)),
    }


def timestamp(unix_s: float) -> str:
    """Spell a time as RFC 3339, in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(unix_s, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _ends_at(alert: Alert, state: State, now: float, hold_s: float, resend_s: float) -> float:
    """When it ended, or until when the Alertmanager may rely on it, should Watchgate be gone."""
    if state is State.RESOLVED:
        return now if alert.resolved_at is None else alert.resolved_at
    return max(alert.last_at + hold_s, now + RESENDS_MISSED * resend_s)


def _annotations(alert: Alert) -> dict[str, str]:
    labels = alert.labels
    return {
        "summary": (
            f"{labels['detector']} found {labels['category']} misuse of {labels['model']} "
            f"in the {labels['part']} of {alert.count} exchange{'s' if alert.count > 1 else ''}, "
            f"scoring up to {alert.score:.3f} (threshold {alert.threshold:g}): "
            f"{_DONE.get(labels.get('enforced', ''), 'nothing was stopped')}"
        ),
        "count": str(alert.count),
        "exchange": alert.last_exchange_id,
        "score": f"{alert.score:.3f}",
        "first": timestamp(alert.first_exchange_at),
        "last": timestamp(alert.last_exchange_at),
    }
