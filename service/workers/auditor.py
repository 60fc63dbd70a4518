"""The auditor: what gateways refused goes into the audit log, whose head goes into the event log.

The audit log is in the store. Who can write there can cut off its end, and who has its key too can
write all of it anew; what was told to the event log before stays, and gives them away.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client import Counter, Gauge
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from service.core.audit import Action, Entry, Head, follows
from service.errors import BadRecord, JournalFull
from service.events.audit import Anchor, Denied, to_event, to_record
from service.events.journal import read_synced
from service.events.log import EventWriter, Received, Topic
from service.store.audit import AuditLog, check_audit_key, head_of, mac_at, read_links
from service.store.effects import claim_effects
from service.store.engine import Store

DAY_S: Final = 86_400.0
ANCHOR_S: Final = 5.0
"""Between two anchors of a log that grows: each is a record with a sync."""
ACTOR: Final = "gateway"
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shown:
    """The metrics of the audit log."""

    head: Gauge
    anchor_age: Gauge
    breaks: Counter


class Auditor:
    """Handles records of the topic `audit`, and anchors the log between them."""

    transient: tuple[type[Exception], ...] = (OperationalError, InterfaceError, PoolTimeoutError)

    def __init__(  # noqa: PLR0913  (two logs, and what is shown of them)
        self,
        store: Store,
        key: bytes,
        events: EventWriter,
        *,
        clock: Callable[[], float],
        anchor_every_s: float = DAY_S,
        anchored: Head | None = None,
        shown: Shown,
    ) -> None:
        """Follow the log from where it was `anchored` last or, where that is not known, as it is.

        `anchor_every_s` is the longest between two anchors.

        Raises:
            ConfigError: the log is under another key.
        """
        self._store = store
        self._key = key
        self._log = AuditLog(key)
        self._events = events
        self._clock = clock
        self._every_s = anchor_every_s
        self._shown = shown
        self._next_check = 0.0
        self._anchored: Head | None = None
        self._anchored_at = clock()
        with store.read() as connection:
            check_audit_key(connection, key)
            self._head = anchored or head_of(connection)

    def handle(self, batch: Sequence[Received]) -> None:
        """Put what was refused into the audit log, each event once however often it comes.

        Raises:
            BadRecord: one of the records is no event of the topic, and none of them had an effect.
        """
        events = [to_event(received.record) for received in batch]
        denied = {event.id: event for event in events if isinstance(event, Denied)}
        if denied:
            self._record(denied)

    def check(self, _records: Sequence[Received] = ()) -> None:
        """Every few seconds, follow the log to its end and anchor it if that is due."""
        now = self._clock()
        if now < self._next_check <= now + ANCHOR_S:
            return
        self._next_check = now + ANCHOR_S
        self._follow()
        if self._is_due(now):
            self._anchor(now)
        self._shown.head.set(self._head.seq)
        self._shown.anchor_age.set(now - self._anchored_at)

    def _record(self, denied: Mapping[str, Denied]) -> None:
        now = self._clock()
        with self._store.begin() as connection:
            new = claim_effects(connection, denied.keys(), now)
            for event in denied.values():
                if event.id in new:
                    self._log.record(connection, _entry(event, now))

    def _follow(self) -> None:
        """See that the log goes on from where it was, and go to its end."""
        with self._store.read() as connection:
            end = head_of(connection)
            kept = mac_at(connection, self._head.seq) if self._head.seq else self._head.mac
        intact, head = kept == self._head.mac, self._head
        for found in read_links(self._store, after=head.seq):
            intact &= found.seq == head.seq + 1 and follows(self._key, head.mac, found)
            head = end = Head(found.seq, found.mac)
        self._head = end
        if not intact:
            self._shown.breaks.inc()
            _log.error("the audit log was changed: run watchgate audit verify")

    def _is_due(self, now: float) -> bool:
        if self._head.seq == 0:
            return False
        return self._head != self._anchored or not 0 <= now - self._anchored_at < self._every_s

    def _anchor(self, now: float) -> None:
        anchor = Anchor(at=now, seq=self._head.seq, mac=self._head.mac.hex())
        try:
            self._events.append_all([to_record(anchor)])
        except JournalFull as error:
            _log.warning("the audit log is not anchored: %s", error)
        else:
            self._anchored, self._anchored_at = self._head, now


def last_anchored(folder: Path) -> Head | None:
    """Return the head that a journal was told last, None where it holds none."""
    last = None
    for received in read_synced(folder, Topic.AUDIT):
        with suppress(BadRecord):  # of a later version: who starts must not stumble over it
            event = to_event(received.record)
            if isinstance(event, Anchor):
                last = Head(event.seq, bytes.fromhex(event.mac))
    return last


def _entry(event: Denied, now: float) -> Entry:
    return Entry(
        at=now,
        actor=ACTOR,
        action=Action.ACCESS_DENIED,
        object=f"key/{event.key}",
        after={
            "project": event.project,
            "account": event.account,
            "model": event.model,
            "surface": event.surface,
            "reasons": event.reasons,
            "count": event.count,
            "first_at": event.first_at,
            "last_at": event.last_at,
        },
    )
