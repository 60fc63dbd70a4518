"""Joins the parts of large records again, and knows how far it is safe to commit. Pure.

Parts of one record come in order, but not alone: other journals' records lie between them, and
a shipper that was killed sends all parts again. What is promised: every record of which each
part arrived at least once comes out, and a reader that starts again from `safe` finds all the
parts of every record that it had not acknowledged.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from service.events.kafka.wire import Part
from service.events.log import Position

REACH: Final = 1_000_000
"""Messages of a partition: parts that were acknowledged lie a few rounds of a shipper apart."""

_UNFINISHED: Final = -1


class _Key(NamedTuple):
    """Parts belong together if they come from one record, cut in one way."""

    origin: Position
    total: int
    size_bytes: int


@dataclass(slots=True)
class _Assembly:
    """A record in parts: the offsets at which it began, became whole and was last heard of."""

    first: int
    last: int = _UNFINISHED
    heard: int = _UNFINISHED
    chunks: dict[int, bytes] = field(default_factory=dict)


class Joiner:
    """The split records of one partition."""

    def __init__(self) -> None:
        """Start without any part."""
        self._assemblies: dict[_Key, _Assembly] = {}
        self._whole: list[_Assembly] = []
        self.abandoned = 0
        """Counts records of which some part never came."""

    def __len__(self) -> int:
        """Count the records that wait for a part."""
        return len(self._assemblies)

    def add(self, offset: int, origin: Position, part: Part, chunk: bytes) -> bytes | None:
        """Take a part in; return the whole value if it was the last one missing."""
        key = _Key(origin, part.total, part.size_bytes)
        assembly = self._assemblies.setdefault(key, _Assembly(offset))
        assembly.heard = offset
        assembly.chunks.setdefault(part.number, chunk)
        if len(assembly.chunks) < part.total:
            return None
        del self._assemblies[key]
        value = b"".join(assembly.chunks[number] for number in range(1, part.total + 1))
        self._whole.append(_Assembly(assembly.first, offset))
        return value

    def passed(self, origin: Position, offset: int) -> None:
        """Forget records before `origin` in its journal that are still in parts, and old ones.

        A shipper goes on to the next record only once all parts of this one are acknowledged,
        and sends all of them again otherwise. So what is still in parts when a later record
        of the same journal comes is the rest of a repetition, or has lost its beginning. A machine
        that is gone for ever sends no later record: what it left in parts is forgotten when no part
        came for `REACH` messages, or nothing after it could ever be committed. If the machine comes
        back, what is not acknowledged as a whole is sent as a whole; only a shipper that pauses for
        so long between two parts, and then goes on, would lose the record.
        """
        if not self._assemblies:
            return
        stale = [
            key
            for key, assembly in self._assemblies.items()
            if _is_before(key.origin, origin)
            or _is_resent(key.origin, origin)
            or offset - assembly.heard > REACH
        ]
        for key in stale:
            del self._assemblies[key]
        self.abandoned += len(stale)

    def safe(self, acknowledged: int) -> int:
        """Return the offset up to which to commit.

        Args:
            acknowledged: the next offset after those of the records that were acknowledged.
        """
        self._whole = [one for one in self._whole if one.last >= acknowledged]
        held = (one.first for one in (*self._whole, *self._assemblies.values()))
        return min((acknowledged, *held))


def _is_resent(one: Position, other: Position) -> bool:
    """Say whether one without a machine's name, as origins once were, comes again with it."""
    return one.log == other.log.partition(".")[2] and one[1:] == other[1:]


def _is_before(one: Position, other: Position) -> bool:
    return one.log == other.log and (one.part, one.offset) < (other.part, other.offset)
