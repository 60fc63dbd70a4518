"""What a record looks like on a Kafka topic. Pure: docs/kafka.md describes it for others.

A message's key is the record's key. Its value is a JSON envelope in which body and content
stand as they are, without being encoded again; what is not JSON (or is encrypted) stands there
in base64, and `base64` names the fields of which that is true. An envelope over the size limit
travels in parts: slices of it, each a message with the same key, so in one partition.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple

import msgspec

from service.core.unreadable import UNREADABLE
from service.errors import BadRecord
from service.events.log import Position, Received, Record, Topic

VERSION: Final = 1
UNDECODABLE: Final = "undecodable"
"""The kind of a record that stands for a message that is no envelope."""

_ORIGIN: Final = "origin"
_PART: Final = "part"
_OVERHEAD_BYTES: Final = 256
"""Upper bound of what Kafka's batch (61 bytes) and record (21) headers and our own headers'
names add to key, value and origin."""
_PART_BYTES: Final = 64
"""Upper bound of the header that numbers a part."""


class Part(NamedTuple):
    """Which slice of an envelope a message holds."""

    number: int
    """From 1."""
    total: int
    size_bytes: int
    """Of the whole envelope."""


class Message(NamedTuple):
    """One Kafka message, to be sent."""

    topic: Topic
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]

    @property
    def size_bytes(self) -> int:
        """An upper bound of what the message weighs in a batch."""
        return (
            len(self.key)
            + len(self.value)
            + sum(len(value) for _, value in self.headers)
            + _OVERHEAD_BYTES
        )


class Headers(NamedTuple):
    """What a message's headers say; None where they say nothing that can be read."""

    origin: Position | None
    part: Part | None


class _Envelope(msgspec.Struct, omit_defaults=True, kw_only=True):
    v: int
    kind: str
    id: str
    body: msgspec.Raw
    content: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    key_id: str | None = None
    base64: tuple[str, ...] = ()


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Envelope)


def to_value(record: Record) -> bytes:
    """Encode a record's envelope."""
    coded: list[str] = []
    return _encoder.encode(
        _Envelope(
            v=VERSION,
            kind=record.kind,
            id=record.id,
            body=_raw("body", record.body, coded),
            content=_content(record, coded),
            key_id=record.key_id,
            base64=tuple(coded),
        )
    )


def to_record(topic: Topic, key: bytes, value: bytes) -> Record:
    """Decode an envelope.

    Raises:
        BadRecord: "undecodable" for what is no envelope of a version that this reads.
    """
    try:
        envelope = _decoder.decode(value)
        body, content = (_bytes(envelope, name) for name in ("body", "content"))
    except (*UNREADABLE, binascii.Error) as error:
        raise BadRecord(UNDECODABLE, str(error)) from None
    if envelope.v > VERSION or body is None:
        raise BadRecord(UNDECODABLE, f"envelope {envelope.v}, and this reads up to {VERSION}")
    return Record(topic, key, envelope.kind, envelope.id, body, content, envelope.key_id)


def undecodable(topic: Topic, key: bytes, value: bytes) -> Record:
    """Stand in for a message that is no envelope: a worker sends it to the dead letters."""
    return Record(topic, key, UNDECODABLE, "", value)


def messages(received: Received, max_bytes: int, machine: str = "") -> Iterator[Message]:
    """Make the messages, each at most `max_bytes`, that carry a record of a machine's journals."""
    record, (log, *place) = received.record, received.position
    value = to_value(record)
    name = f"{machine}.{log}" if machine else log
    origin = (_ORIGIN, "/".join(map(str, (name, *place))).encode())
    room = max_bytes - len(record.key) - len(origin[1]) - _OVERHEAD_BYTES
    if len(value) <= room:
        yield Message(record.topic, record.key, value, [origin])
        return
    room = max(room - _PART_BYTES, 1024)  # a huge key must not make millions of parts
    total = -(-len(value) // room)
    for number in range(1, total + 1):
        part = f"{number}/{total}/{len(value)}".encode()
        chunk = value[(number - 1) * room : number * room]
        yield Message(record.topic, record.key, chunk, [origin, (_PART, part)])


def rounds(
    records: Iterable[Received], max_bytes: int, machine: str = ""
) -> Iterator[list[Message]]:
    """Group the messages of many records, in order, so that each group fits in one batch."""
    group: list[Message] = []
    size_bytes = 0
    for message in chain.from_iterable(messages(it, max_bytes, machine) for it in records):
        if group and size_bytes + message.size_bytes > max_bytes:
            yield group
            group, size_bytes = [], 0
        group.append(message)
        size_bytes += message.size_bytes
    if group:
        yield group


def read_headers(headers: Sequence[tuple[str, bytes]]) -> Headers:
    """Read what other writers may have left out or spoilt."""
    found = dict(headers)
    return Headers(_to_origin(found.get(_ORIGIN)), _to_part(found.get(_PART)))


def _content(record: Record, coded: list[str]) -> msgspec.Raw | msgspec.UnsetType:
    if record.content is None:
        return msgspec.UNSET
    return _raw("content", record.content, coded, encrypted=record.key_id is not None)


def _raw(name: str, text: bytes, coded: list[str], *, encrypted: bool = False) -> msgspec.Raw:
    """Take JSON as it is, and anything else as a string of base64."""
    if not encrypted and _is_plain_json(text):
        return msgspec.Raw(text)
    coded.append(name)
    return msgspec.Raw(b'"' + base64.b64encode(text) + b'"')


def _is_plain_json(text: bytes) -> bool:
    """Tell whether the text comes out of an envelope byte for byte as it went in.

    Space around the value would be lost, and the decoder does not look at UTF-8 on its own.
    """
    try:
        text.decode()
        return bytes(msgspec.json.decode(text, type=msgspec.Raw)) == text
    except UNREADABLE:
        return False


def _bytes(envelope: _Envelope, name: str) -> bytes | None:
    raw = getattr(envelope, name)
    if raw is msgspec.UNSET:
        return None
    if name in envelope.base64:
        return base64.b64decode(msgspec.json.decode(raw, type=str), validate=True)
    return bytes(raw)


def _to_origin(text: bytes | None) -> Position | None:
    try:
        log, part, offset = (text or b"").decode().rsplit("/", 2)
        return Position(log, int(part), int(offset))
    except ValueError:
        return None


def _to_part(text: bytes | None) -> Part | None:
    try:
        number, total, size_bytes = map(int, (text or b"").split(b"/"))
    except ValueError:
        return None
    return Part(number, total, size_bytes) if 1 <= number <= total else None
