"""The events, version 1, as JSON. docs/events.md describes every field for readers elsewhere.

Times are Unix seconds, durations seconds. A new optional field does not change the version;
a field that changes its meaning does. Decoders ignore fields that they do not know.
"""

from typing import Final, Literal

import msgspec

from service.core.probed import Probed
from service.core.trace_context import sampled
from service.core.unreadable import UNREADABLE
from service.errors import BadRecord
from service.events.log import Position, Record, Topic

VERSION: Final = 1
SERVED_UNKNOWN: Final = -1

Outcome = Literal[
    "completed",
    "blocked",
    "cut_off",
    "screen_failed",
    "refused_by_upstream",
    "upstream_unavailable",
    "upstream_timeout",
    "upstream_broke",
    "client_gone",
    "revoked",
    "interrupted",
]

Enforced = Literal["blocked", "cut_off", "observed"]
"""What the gateway did with a part of an exchange: it blocked the prompt, it cut off the answer, or
no point stopped it."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What all events share."""

    exchange_id: str
    at: float
    account: str
    """Who is judged: the key's project (and later the end user within it)."""
    project: str
    key: str
    """The id of the API key, never the key."""
    model: str
    surface: str
    tier: int
    traceparent: str | None = None
    """The trace that the exchange is in, as W3C's Trace Context writes it: of the gateway's span
    if it makes one, else of the caller's. In `opened`; elsewhere only if the trace is sampled."""
    v: int = VERSION


class Crossing(msgspec.Struct, frozen=True, omit_defaults=True):
    """A score at or over an operating point's threshold."""

    point: str
    category: str
    score: float
    threshold: float
    action: str
    detector: str = ""
    """Left out in a verdict, which names it."""
    version: int = 0
    """Of the point; 0: it stands in the settings."""


class Screening(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the gateway's own screen did with a part of an exchange."""

    mode: str
    """`block` for a prompt; `window` or `buffer` for an answer."""
    detectors: tuple[str, ...]
    """Names and versions, as `lexical/1f0c`."""
    crossed: tuple[Crossing, ...] = ()
    observed_only: bool = False
    """Nothing follows from crossings."""
    unscanned: str | None = None
    """Why not all of the text was screened; None: all was that was released."""
    unscanned_chars: int = 0
    """How much of an answer was released without having been screened."""
    window_chars: int | None = None
    max_unscanned_chars: int | None = None
    """The bound that the policy states; None: there is none."""


class Opened(Event, frozen=True, kw_only=True, omit_defaults=True, tag="opened"):
    """A request was let in and is about to be forwarded. Content: its body, verbatim."""

    upstream: str
    stream: bool
    caller_request_id: str | None = None
    screening: Screening | None = None
    """What screening the prompt came to; None: the gateway left it to the workers."""


class Timings(msgspec.Struct, frozen=True, omit_defaults=True):
    """Seconds since the request was received."""

    total_s: float
    first_byte_s: float | None = None
    """Until the first byte of answer was released to the caller."""
    upstream_first_byte_s: float | None = None
    """Until the first byte of answer came from the upstream."""


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which record holds the exchange, and under what it was served."""

    log: str
    part: int
    offset: int
    lease: str | None = None


class Closed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="closed"):
    """The answer ended, however it did. Content: the answer's text, see `core.surfaces`."""

    outcome: Outcome
    opened_at: float
    served_number: int = 0
    """Counts the exchanges of which a byte was served since the process started, from 1;
    0: none was; -1: unknown, the process died. A hole in the numbers of one `boot` is an answer
    that was not recorded."""
    boot: str = ""
    replica: str | None = None
    """The address of the upstream's replica that the request was sent to, last."""
    status: int | None = None
    """What the caller got; None: nothing, or it is not known."""
    upstream_status: int | None = None
    """What the upstream answered, where the caller got another status."""
    finish_reasons: tuple[str, ...] = ()
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    timings: Timings | None = None
    generated_chars: int | None = None
    """How much text came from the upstream, where the gateway screened it."""
    released_chars: int | None = None
    """How much of it was released to the caller."""
    screening: Screening | None = None
    """What screening the answer came to; None: the gateway left it to the workers."""
    receipt: Receipt | None = None
    probed: Probed | None = None
    """What probes inside vLLM made of it until its end was recorded; None: there are none."""


class ReadByProbes(msgspec.Struct, frozen=True):
    """What a verdict rests on that was made of no text but of the model's states."""

    digest: str
    """Of the probes."""
    tokens: int
    """That the part had, as far as was known."""
    read: int
    """Of so many of them the probes saw the states."""


class Verdict(Event, frozen=True, kw_only=True, omit_defaults=True, tag="verdict"):
    """What one detector says of one part of an exchange."""

    id: str
    part: str
    detector: str
    version: str
    digest: str
    """SHA-256 of the text that was scored, as hex."""
    unscanned: str | None = None
    """Why the part was not scored (a closed set of reasons); None: it was."""
    media: tuple[str, ...] = ()
    """SHA-256 of each image, sound or file that was not scored, as hex."""
    scores: dict[str, float] = {}
    crossed: tuple[Crossing, ...] = ()
    completes: bool = False
    """This is the last verdict on its part, and all of the part's text was scored."""
    enforced: Enforced = "observed"
    """What the gateway did with the part, whichever point this verdict is about."""
    read: ReadByProbes | None = None
    """What probes inside vLLM had read of the part; None: the detector looked at its text."""


AnyEvent = Opened | Closed | Verdict
KINDS: Final = ("opened", "closed", "verdict", "dead_letter", "denied", "anchor")
"""Of all events, those of `audit` too."""


class _Dated(msgspec.Struct):
    at: float


class _Said(msgspec.Struct):
    kind: str
    v: int = VERSION


_said: Final = msgspec.json.Decoder(_Said)
_dated: Final = msgspec.json.Decoder(_Dated)
_encoder = msgspec.json.Encoder()
_decoder: Final[msgspec.json.Decoder[AnyEvent]] = msgspec.json.Decoder(AnyEvent)
_TOPICS: Final = {
    Opened: (Topic.EXCHANGES, "opened"),
    Closed: (Topic.EXCHANGES, "closed"),
    Verdict: (Topic.VERDICTS, "verdict"),
}
"""Of each event, its topic and what it is called there."""


def to_record(event: AnyEvent, content: bytes | None = None) -> Record:
    """Encode an event for its topic; records of one account share a key."""
    topic, kind = _TOPICS[type(event)]
    return Record(
        topic=topic,
        key=event.account.encode(),
        kind=kind,
        id=event.id if isinstance(event, Verdict) else event.exchange_id,
        body=_encoder.encode(event),
        content=content,
    )


def to_event(record: Record) -> AnyEvent:
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


def bad_record(body: bytes, error: Exception) -> BadRecord:
    """Say why a body cannot be decoded: "version" where a newer version must have written it."""
    try:
        said = _said.decode(body)
    except UNREADABLE:
        return BadRecord("undecodable", str(error))
    if said.kind in KINDS and said.v <= VERSION:
        return BadRecord("undecodable", str(error))
    return BadRecord("version", f"{said.kind!r} of version {said.v} is not known")


def made_at(record: Record) -> float:
    """Return when an event of any topic was made.

    Raises:
        BadRecord: it is no event.
    """
    try:
        return _dated.decode(record.body).at
    except UNREADABLE as error:
        raise BadRecord("undecodable", str(error)) from None


def interrupted(opened_body: bytes, position: Position, now: float) -> Closed:
    """Return the end of an exchange whose process died: what was released is not known.

    Raises:
        BadRecord: the body is no `opened`.
    """
    try:
        opened = msgspec.json.decode(opened_body, type=Opened)
    except UNREADABLE as error:
        raise BadRecord("undecodable", str(error)) from None
    return Closed(
        exchange_id=opened.exchange_id,
        at=now,
        account=opened.account,
        project=opened.project,
        key=opened.key,
        model=opened.model,
        surface=opened.surface,
        tier=opened.tier,
        outcome="interrupted",
        traceparent=sampled(opened.traceparent),
        opened_at=opened.at,
        served_number=SERVED_UNKNOWN,
        receipt=Receipt(*position),
    )
