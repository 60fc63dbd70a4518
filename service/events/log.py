"""The event log: the first seam.

**Order.** Records with the same key that one process appends are read in the order in which
they were appended. Between processes there is no order: readers tolerate it.

**Durability.** A record is *written* once it survives the death of its process (kill -9) and
*synced* once it survives the loss of power. Readers see synced records only, so a position
that anyone has seen is never given to another record.

**Delivery.** At least once, first occurrences in order. A reader that stops without committing
reads the same records again; `Record.id` lets consumers drop what they have already seen.

**Offsets.** Within one `(log, part)` offsets grow, not necessarily by one. Committing a
position acknowledges every record of its `(log, part)` at or before it; acknowledging never
goes backwards.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple, Protocol

import msgspec


class Topic(StrEnum):
    """The logical streams of the event log."""

    EXCHANGES = "exchanges"
    VERDICTS = "verdicts"
    DEAD_LETTERS = "dead-letters"
    AUDIT = "audit"


class Durability(IntEnum):
    """What a record survives: a killed process, or also a loss of power."""

    WRITTEN = 1
    SYNCED = 2


class Position(NamedTuple):
    """Where a record stands: in a journal's segment, or in a Kafka topic's partition."""

    log: str
    part: int
    offset: int


class Record(msgspec.Struct, frozen=True, gc=False):
    """One event on its way.

    `body` is the event itself, as JSON without any prompt or answer text. `content` is what was
    said, a JSON text of its own, so that it can be encrypted or dropped alone; `key_id` names
    the key that encrypted it (None: not encrypted).
    """

    topic: Topic
    key: bytes
    """The account: records with one key stay in order."""
    kind: str
    """What the body is: "opened", "closed", "verdict", "dead_letter", "denied", "anchor"."""
    id: str
    """Of the exchange (or verdict, or denial), to recognise what was read before."""
    body: bytes
    content: bytes | None = None
    key_id: str | None = None

    @property
    def size_bytes(self) -> int:
        """What the record weighs in queues and limits; the row's overhead is estimated."""
        return len(self.body) + len(self.content or b"") + len(self.key) + 128


@dataclass(frozen=True, slots=True)
class Received:
    """A record and where it was read."""

    record: Record
    position: Position


@dataclass(frozen=True, slots=True)
class Lag:
    """How far behind a reader is, per topic."""

    records: Mapping[Topic, int]


class EventWriter(Protocol):
    """Appends records; used by workers, which may block."""

    def append_all(self, records: Sequence[Record]) -> Sequence[Position]:
        """Append in order and return once all are synced.

        Raises:
            JournalFull: none of the records was appended.
            JournalBroken: it is unknown which of them were.
        """
        ...

    def close(self) -> None:
        """Finish what was appended, then let go of the log. May be called twice."""
        ...


class EventReader(Protocol):
    """Reads the topics of one consumer group. Used from one thread."""

    def poll(self, timeout_s: float) -> Sequence[Received]:
        """Return the next records, at least one unless `timeout_s` passes first."""
        ...

    def commit(self, positions: Iterable[Position]) -> None:
        """Acknowledge, durably, everything at or before these positions."""
        ...

    def lag(self) -> Lag:
        """Count the synced records that this reader has not yet returned from `poll`."""
        ...

    def close(self) -> None:
        """Stop reading without committing. May be called twice."""
        ...
