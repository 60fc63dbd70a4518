"""Refusals of callers who had authenticated, told to the audit log by way of the journal.

A caller may be refused a thousand times a second: those that are alike are told together, the
first at once, what comes after it once a minute. Nothing here waits, and no request fails of it.
"""

from collections.abc import Callable, Iterable
from itertools import count
from typing import Final, NamedTuple

import msgspec

from service.core.callers import Caller
from service.errors import EventLogError
from service.events.audit import Denied, to_record
from service.events.log import Durability
from service.gateway.evidence import Evidence

MAX_KINDS: Final = 1000
"""How many different refusals are told apart at a time; as many keys are, beyond that."""
AGAIN_S: Final = 60.0
"""How long more of the same are gathered before they are told."""
OVERFLOW: Final = "overflow"
"""In place of the reasons, where refusals of a key were too many to be told apart."""
_OTHER: Final = "other"
_AT_ONCE: Final = 100
"""The most events of a flush: each costs the loop some microseconds."""


class _Kind(NamedTuple):
    """Refusals with the same of these are alike."""

    key: str
    project: str
    account: str
    model: str
    surface: str
    reasons: tuple[str, ...]


class _Tally(msgspec.Struct, eq=False):
    """How many there were since they were told last."""

    due_at: float
    count: int = 0
    first_at: float = 0.0
    last_at: float = 0.0

    def add(self, more: int, first_at: float, last_at: float) -> None:
        self.first_at = min(self.first_at, first_at) if self.count else first_at
        self.last_at = max(self.last_at, last_at) if self.count else last_at
        self.count += more


class Denials:
    """Gathers refusals. Both `note` and `flush` are called on the event loop."""

    def __init__(
        self, evidence: Evidence, boot: str, on_overflow: Callable[[], None] = lambda: None
    ) -> None:
        """Know none. `boot` names this run of the process, for ids that no other makes."""
        self._evidence = evidence
        self._boot = boot
        self._on_overflow = on_overflow
        self._numbers = count(1)
        self._tallies: dict[_Kind, _Tally] = {}

    def note(
        self, caller: Caller, model: str, surface: str, reasons: Iterable[str], now: float
    ) -> None:
        """Take note of a refusal, at `now` in Unix seconds.

        Args:
            caller: who was refused.
            model: a registered name, or "other": never what the caller wrote.
            surface: a surface's name, or "other".
            reasons: all that spoke against it, from a closed set.
            now: Unix seconds.
        """
        all_reasons = tuple(sorted(set(reasons)))
        kind = _Kind(caller.key_id, caller.project, caller.account, model, surface, all_reasons)
        self._tally(kind, now).add(1, now, now)

    def flush(self, now: float, *, everything: bool = False) -> None:
        """Append what is due, about once a second; in the end `everything`, due or not.

        What the journal has no room for is kept for the next time.
        """
        due = [it for it in self._tallies.items() if now >= it[1].due_at or everything]
        for kind, tally in due[: None if everything else _AT_ONCE]:
            if not tally.count:
                del self._tallies[kind]
            elif not self._append(kind, tally, now):
                return

    def _tally(self, kind: _Kind, now: float) -> _Tally:
        """Return the tally of its like, or of its key alone where there are too many."""
        found = self._tallies.get(kind)
        if found is not None:
            return found
        if len(self._tallies) >= MAX_KINDS:
            self._on_overflow()
            kind = _overflow(kind.key, kind.project)
            if kind not in self._tallies and len(self._tallies) >= 2 * MAX_KINDS:
                kind = _overflow(_OTHER, _OTHER)
        return self._tallies.setdefault(kind, _Tally(due_at=now))

    def _append(self, kind: _Kind, tally: _Tally, now: float) -> bool:
        event = Denied(
            **kind._asdict(),
            id=f"dn-{self._boot}-{next(self._numbers)}",
            at=now,
            count=tally.count,
            first_at=tally.first_at,
            last_at=tally.last_at,
        )

        def keep(error: EventLogError | None) -> None:
            if error is not None:
                again = self._tally(kind, now)
                again.add(event.count, event.first_at, event.last_at)
                again.due_at = now

        try:
            self._evidence.append(to_record(event), Durability.WRITTEN, ends=False, on_decided=keep)
        except EventLogError:
            return False
        tally.count, tally.due_at = 0, now + AGAIN_S
        return True


def _overflow(key: str, project: str) -> _Kind:
    return _Kind(key, project, project, _OTHER, _OTHER, (OVERFLOW,))
