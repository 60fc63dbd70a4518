"""The events of the topic `audit`: what gateways refused, and how far the audit log went.

They are about no exchange, so they share nothing with those of `schema`, but for the rules: times
are Unix seconds, a new optional field does not change the version.
"""

from typing import Final

import msgspec

from service.core.unreadable import UNREADABLE
from service.errors import BadRecord
from service.events.log import Record, Topic
from service.events.schema import VERSION, bad_record

_ANCHORS: Final = b"audit"
"""The key of all anchors, which so stay in order."""


class Denied(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="kind",
    tag="denied",
):
    """A gateway refused an authenticated caller: requests that were refused alike, together."""

    id: str
    """Made by the gateway; the same event has the same id, however often it comes."""
    at: float
    key: str
    """The id of the API key, never the key."""
    project: str
    account: str
    model: str
    surface: str
    reasons: tuple[str, ...]
    """All of them, also those that the caller is not told."""
    count: int
    first_at: float
    last_at: float
    v: int = VERSION


class Anchor(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="kind",
    tag="anchor",
):
    """How far the audit log went: kept where those who can change the log cannot."""

    at: float
    seq: int
    """The number of its last entry, and so of how many there were."""
    mac: str
    """That entry's, as hex."""
    v: int = VERSION


AuditEvent = Denied | Anchor

_encoder = msgspec.json.Encoder()
_decoder: Final[msgspec.json.Decoder[AuditEvent]] = msgspec.json.Decoder(AuditEvent)


def to_record(event: AuditEvent) -> Record:
    """Encode an event for its topic; refusals of one account share a key, and so do anchors."""
    body = _encoder.encode(event)
    if isinstance(event, Denied):
        return Record(Topic.AUDIT, event.account.encode(), "denied", event.id, body)
    return Record(Topic.AUDIT, _ANCHORS, "anchor", f"anchor-{event.seq}-{event.mac[:16]}", body)


def to_event(record: Record) -> AuditEvent:
    """Decode a record's body.

    Raises:
        BadRecord: "undecodable" for what is no event, "version" for one from the future, or of a
            kind that is not known.
    """
    try:
        event = _decoder.decode(record.body)
    except UNREADABLE as error:
        raise bad_record(record.body, error) from None
    if event.v > VERSION:
        raise BadRecord("version", f"{event.v}, and this reads up to {VERSION}")
    return event
