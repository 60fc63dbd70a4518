"""The loop of every worker: read, handle, commit after the effects are durable.

At least once: a worker that dies between its effects and its commit handles the same records
again, so effects are keyed by ids. A record that cannot be handled goes to the dead letters,
with the reason and its position, and the loop goes on; what only fails for now is tried again.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Final, Protocol, get_args

import msgspec

from service.core.unreadable import UNREADABLE
from service.errors import BadRecord, BadRecordReason, JournalFull
from service.events.dead_letters import DeadLetter, Original
from service.events.log import EventReader, EventWriter, Position, Received, Record, Topic
from service.events.shipper import last_positions, pause_s

_log = logging.getLogger(__name__)
_POLL_S: Final = 0.5
_COMMIT_S: Final = 0.25
"""While there is always something to read, so often it is acknowledged: each time costs syncs."""
REPLAY: Final = "replay"
"""The role whose journal takes the records behind dead letters when they are to be handled anew."""
HANDLER_FAILED: Final = "handler_failed"
DEAD_LETTER_REASONS: Final = (*get_args(BadRecordReason), HANDLER_FAILED)
_ATTEMPTS: Final = 3
"""How often one record may fail in a way that nobody foresaw before it is a dead letter."""


class Handler(Protocol):
    """Does a worker's work on records."""

    transient: tuple[type[Exception], ...]
    """What is worth waiting for: the store is away, the journal is full."""

    def handle(self, batch: Sequence[Received]) -> None:
        """Return once the effects of all records are durable.

        Raises:
            BadRecord: at least one of them cannot be handled; none had an effect that a second
                call would repeat.
        """
        ...


class Watcher(Protocol):
    """Is told what happens, to count it."""

    def on_turn(self, done: Sequence[Received]) -> None:
        """A turn of the loop has ended; these records are done, none if there were none."""
        ...

    def on_dead_letter(self, topic: Topic, reason: str) -> None:
        """A record was put aside."""
        ...

    def on_pause(self, error: Exception) -> None:
        """A batch has to wait."""
        ...


class Loop:
    """Runs a handler over what a group has to read, until it is told to stop."""

    def __init__(  # noqa: PLR0913  (the parts of every worker)
        self,
        *,
        group: str,
        reader: EventReader,
        handler: Handler,
        dead_letters: EventWriter,
        watcher: Watcher,
        clock: Callable[[], float],
    ) -> None:
        """Keep the parts; whoever made them closes them."""
        self._group = group
        self._reader = reader
        self._handler = handler
        self._dead_letters = dead_letters
        self._watcher = watcher
        self._clock = clock
        self._uncommitted: dict[tuple[str, int], Position] = {}
        self._next_commit = 0.0

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; of a batch in hand the rest is left for the next run.

        Raises:
            EventLogError: the log can be neither read nor written; what was not acknowledged
                is read again by the next run.
        """
        while not stop.is_set():
            records = self._reader.poll(_POLL_S)
            done = self._handle(records, stop)
            self._uncommitted |= {(p.log, p.part): p for p in last_positions(done)}
            if not records or time.monotonic() >= self._next_commit:
                self._commit()
            self._watcher.on_turn(done)
        self._commit()

    def _commit(self) -> None:
        self._reader.commit(self._uncommitted.values())
        self._uncommitted = {}
        self._next_commit = time.monotonic() + _COMMIT_S

    def _handle(self, records: Sequence[Received], stop: threading.Event) -> Sequence[Received]:
        """Handle a batch, if need be one by one; return how much of it is done."""
        if not records:
            return records
        try:
            return records if self._attempt(records, stop) else ()
        except Exception:  # noqa: BLE001  (each record is tried alone, and told what it did)
            return [*takewhile(lambda received: self._handle_alone(received, stop), records)]

    def _attempt(self, records: Sequence[Received], stop: threading.Event) -> bool:
        """Handle records, waiting out what passes; False: told to stop before it had passed."""
        return self._wait_out(lambda: self._handler.handle(records), self._handler.transient, stop)

    def _handle_alone(self, received: Received, stop: threading.Event) -> bool:
        reason: str = ""
        for failures in range(_ATTEMPTS):
            try:
                return self._attempt([received], stop)
            except BadRecord as error:
                reason = error.reason
                break
            except Exception as error:  # noqa: BLE001  (a worker must outlive any one record)
                reason = HANDLER_FAILED
                _log.warning(
                    "a record failed",
                    extra={"error": type(error).__name__, "position": received.position},
                )
                stop.wait(pause_s(failures, 0.5))
        return self._put_aside(received, reason, stop)

    def _put_aside(self, received: Received, reason: str, stop: threading.Event) -> bool:
        letter = dead_letter(received, self._group, reason, self._clock())
        aside = self._wait_out(
            lambda: self._dead_letters.append_all([letter]), (JournalFull,), stop
        )
        if aside:
            self._watcher.on_dead_letter(received.record.topic, reason)
        return aside

    def _wait_out(
        self,
        action: Callable[[], object],
        transient: tuple[type[Exception], ...],
        stop: threading.Event,
    ) -> bool:
        """Act again until it does not fail for now; False: told to stop before that."""
        failures = 0
        while not stop.is_set():
            try:
                action()
            except transient as error:
                self._watcher.on_pause(error)
                stop.wait(pause_s(failures, 0.5))
                failures += 1
            else:
                return True
        return False


def dead_letter(received: Received, group: str, reason: str, now: float) -> Record:
    """Wrap a record that cannot be handled, whole, so that it can be replayed."""
    record, position = received.record, received.position
    letter = DeadLetter(
        at=now,
        group=group,
        reason=reason,
        topic=record.topic,
        log=position.log,
        part=position.part,
        offset=position.offset,
    )
    original = Original(
        topic=record.topic,
        key=record.key,
        kind=record.kind,
        id=record.id,
        body=record.body,
        content=record.content,
        key_id=record.key_id,
    )
    return Record(
        topic=Topic.DEAD_LETTERS,
        key=record.key,
        kind="dead_letter",
        id=record.id,
        body=msgspec.json.encode(letter),
        content=msgspec.json.encode(original),
    )


def original_of(letter: Record) -> Record:
    """Unwrap the record behind a dead letter.

    Raises:
        BadRecord: it is no dead letter.
    """
    try:
        original = msgspec.json.decode(letter.content or b"", type=Original)
        topic = Topic(original.topic)
    except (*UNREADABLE, ValueError) as error:
        raise BadRecord("undecodable", str(error)) from None
    return Record(
        topic,
        original.key,
        original.kind,
        original.id,
        original.body,
        original.content,
        original.key_id,
    )
