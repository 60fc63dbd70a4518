"""What a reader knows of one Kafka partition while it owns it. Pure."""

from collections.abc import Sequence

from service.errors import BadRecord
from service.events.kafka import wire
from service.events.kafka.joiner import Joiner
from service.events.log import Position, Received, Record, Topic


class Partition:
    """Turns messages into records and acknowledgements into an offset that is safe to commit.

    It begins when the reader gets the partition and is forgotten when the partition is taken
    away, so nothing that was read under an earlier ownership can be committed.
    """

    def __init__(self, log: str, part: int, topic: Topic) -> None:
        """Name the partition: Kafka's topic name, its number, and the topic it stands for."""
        self._log = log
        self._part = part
        self._topic = topic
        self._joiner = Joiner()
        self._first: int | None = None
        self._acknowledged = 0
        self.committed = 0
        """The offset from which another reader would go on: where this one began, at first."""

    @property
    def abandoned(self) -> int:
        """Count the records of which a part never came."""
        return self._joiner.abandoned

    def take(
        self,
        offset: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
    ) -> Received | None:
        """Take the next message; None while its record lacks other parts."""
        if self._first is None:
            self._first = self.committed = offset
        record = self._record(offset, key or b"", value or b"", wire.read_headers(headers))
        if record is None:
            return None
        return Received(record, Position(self._log, self._part, offset))

    def acknowledge(self, offset: int) -> None:
        """Note that everything up to this offset is done, if it was read in this ownership."""
        if self._first is not None and offset >= self._first:
            self._acknowledged = max(self._acknowledged, offset + 1)

    def due(self) -> int | None:
        """Return the offset to commit, None if there is nothing new."""
        safe = self._joiner.safe(self._acknowledged)
        return safe if safe > self.committed else None

    def _record(
        self, offset: int, key: bytes, value: bytes, headers: wire.Headers
    ) -> Record | None:
        if headers.origin is not None:
            self._joiner.passed(headers.origin, offset)
            if headers.part is not None:
                whole = self._joiner.add(offset, headers.origin, headers.part, value)
                return None if whole is None else self._decode(key, whole)
        return self._decode(key, value)

    def _decode(self, key: bytes, value: bytes) -> Record:
        try:
            return wire.to_record(self._topic, key, value)
        except BadRecord:
            return wire.undecodable(self._topic, key, value)
