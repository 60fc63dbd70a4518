"""Dead letters: what stands in the place of a record that a worker could not handle."""

import msgspec

from service.events.schema import VERSION


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="dead_letter"):
    """A record that a worker could not handle. Content: an `Original`, to be replayed."""

    at: float
    group: str
    reason: str
    topic: str
    log: str
    part: int
    offset: int
    v: int = VERSION


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """The record behind a dead letter, its bytes in base64."""

    topic: str
    key: bytes
    kind: str
    id: str
    body: bytes
    content: bytes | None
    key_id: str | None
