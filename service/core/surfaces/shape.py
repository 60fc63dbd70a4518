"""What surfaces share: reading a request's fields, its text, and the edits of the contract."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from service.core.surfaces.answers import AnswerReader, Place
from service.core.surfaces.errors import ErrorShape
from service.core.surfaces.media import Medium
from service.core.unreadable import UNREADABLE
from service.errors import InvalidRequest

Fields = dict[str, msgspec.Raw]

_fields_decoder: Final = msgspec.json.Decoder(Fields)
_string_decoder: Final = msgspec.json.Decoder(str)
_bool_decoder: Final = msgspec.json.Decoder(bool | None)
_int_decoder: Final = msgspec.json.Decoder(int | None)
_options_decoder: Final = msgspec.json.Decoder(Fields | None)
_encoder: Final = msgspec.json.Encoder()

MAX_CHOICES: Final = 8
"""The most answers (`n`, `best_of`) that one request may ask for from tier 1 on."""

MAX_DEPTH: Final = 200
"""How deep a prompt's JSON may be nested: decoders give up at several hundred levels."""

MAX_VALUES: Final = 200_000
"""How many values a body may hold, counted by its brackets and commas: reading so many takes
about 50 ms, and nobody else is served meanwhile."""

_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_TEMPLATE_FIELDS: Final = frozenset(
    {
        "add_generation_prompt",
        "chat_template",
        "continue_final_message",
        "documents",
    }
)
_ENGINE_FIELDS: Final = frozenset(
    {
        "ec_transfer_params",
        "kv_transfer_params",
        "media_io_kwargs",
        "mm_processor_kwargs",
        "priority",
        "prompt_embeds",
        "prompt_token_ids",
        "request_id",
        "vllm_xargs",
    }
)
_TEMPLATE_KWARGS: Final = frozenset({"enable_thinking", "reasoning_effort", "thinking"})


class Request(msgspec.Struct, frozen=True):
    """A request's body: its fields as they were written, and what routing needs of them."""

    body: bytes
    fields: Fields
    model: str
    stream: bool
    wants_usage: bool
    """The caller asked for the usage chunk of a stream."""


TakeMedia = Callable[[dict[str, Any]], list[Medium]]


class CutStream(Protocol):
    """Ends a stream that is cut off in the middle, as `Surface.cut_stream`."""

    def __call__(
        self, reader: AnswerReader, wants_usage: bool, place: Place | None = None
    ) -> bytes:
        """Return the bytes of the events that end it."""


@dataclass(frozen=True, slots=True)
class Surface:
    """One API shape."""

    name: str
    path: str
    parameters: frozenset[str]
    """The allow-list of fields from tier 1 on."""
    prompt_fields: tuple[str, ...]
    """The fields whose text reaches the model."""
    check_prompt: Callable[[Fields], None]
    """Raises InvalidRequest for a prompt that cannot be read."""
    answer_reader: Callable[[], AnswerReader]
    cut_stream: CutStream
    """The whole events that end a stream that is cut off after `place`, which is where what was
    released ends (by default where the reader stands): every choice or block that is open there
    ends as filtered, then come usage as far as it is known, and the API's own end. They name the
    model as the upstream does, and hold no text of the answer."""
    cut_whole: Callable[[bytes], bytes]
    """A body whose text must not be released, without its text: ids, usage and an end as filtered.
    Raises msgspec.MsgspecError for a body that is not of the API's shape."""
    errors: ErrorShape
    take_media: TakeMedia | None = None
    """Takes from a part of a message, in place, what is no text, and returns it."""
    check_prefill: Callable[[Fields], None] | None = None
    """Raises InvalidRequest, from tier 1 on, for a prompt that begins the answer for the model."""
    asks_for_usage: bool = False
    """A stream tells usage only if `stream_options.include_usage` asks for it."""
    max_tokens_fields: tuple[str, ...] = ()
    """Where a request bounds its answer's tokens, the one to set first; none: no text answers."""
    max_tokens_default: int | None = None
    """What the upstream takes where a request bounds nothing; None: what the model has room for."""
    costs_tokens: bool = True
    """The model reads the prompt; else it is only counted."""
    end_user_fields: tuple[str, ...] = ("safety_identifier", "user")
    """Where a request names its end user; `metadata` stands for its `user_id`."""
    id_field: tuple[str, str] | None = None
    """The field that gives a request its id, and what ids begin with; None: X-Request-Id does."""


def no_stream(reader: AnswerReader, wants_usage: bool, place: Place | None = None) -> bytes:
    """End a stream of an API that has none."""
    del reader, wants_usage, place
    return b""


def parse(body: bytes) -> Request:
    """Read a body's fields.

    Raises:
        InvalidRequest: it is no JSON object, or a field that routing needs has a wrong type.
    """
    _check_values(body)
    try:
        fields = _fields_decoder.decode(body)
        msgspec.json.decode(body)  # `Raw` skips what the workers, who read it all, could not
    except UNREADABLE:
        raise InvalidRequest("The body is not a JSON object that can be read.") from None
    if "model" not in fields:
        raise InvalidRequest("The field 'model' is missing.", param="model")
    model = decode_field(_string_decoder, fields, "model", "a string")
    stream = bool(decode_field(_bool_decoder, fields, "stream", "true or false"))
    options = decode_field(_options_decoder, fields, "stream_options", "an object") or {}
    wants_usage = bool(decode_field(_bool_decoder, options, "include_usage", "true or false"))
    return Request(body, fields, model, stream, wants_usage)


def _check_values(body: bytes) -> None:
    """Refuse a body of too many values before it is read; what is in texts does not count."""
    if len(body) <= MAX_VALUES:  # each value takes a byte: counting takes as long as reading
        return
    if _values(body) > MAX_VALUES and _values(_STRING.sub(b"", body)) > MAX_VALUES:
        raise InvalidRequest(f"The body holds more than {MAX_VALUES} values.")


def _values(data: bytes) -> int:
    return _brackets(data) + _count(data, b",")


def _brackets(data: bytes) -> int:
    return _count(data, b"[") + _count(data, b"{")


def _count(data: bytes, byte: bytes) -> int:
    """Count a byte that is rare: `bytes.count` takes 3 to 8 times as long for it."""
    return len(data) - len(data.replace(byte, b""))


def check_parameters(request: Request, surface: Surface, *, strict: bool) -> None:
    """Refuse fields that reach into the engine and, if strict, all that are not on the list.

    Raises:
        InvalidRequest: naming the first field at fault.
    """
    for field in request.fields:
        engine = field in _ENGINE_FIELDS or (strict and field in _TEMPLATE_FIELDS)
        if engine or (strict and field not in surface.parameters):
            raise InvalidRequest(f"The parameter {field!r} is not accepted.", param=field)
    _check_depth(request, surface)
    surface.check_prompt(request.fields)
    if strict:
        if surface.check_prefill is not None:
            surface.check_prefill(request.fields)
        _check_choices(request.fields)
        _check_template_kwargs(request.fields)


def _check_depth(request: Request, surface: Surface) -> None:
    """Refuse what is nested so deeply that not everyone who has to read it could."""
    if _brackets(request.body) <= MAX_DEPTH:
        return
    for name in surface.prompt_fields:
        if name in request.fields and not _is_shallow(request.fields[name]):
            raise InvalidRequest(
                f"The field {name!r} must be JSON, nested at most {MAX_DEPTH} deep.", param=name
            )


def _is_shallow(raw: msgspec.Raw) -> bool:
    try:
        level = [msgspec.json.decode(raw)]
    except UNREADABLE:
        return False
    for _ in range(MAX_DEPTH):
        level = [inner for value in level for inner in _children(value)]
        if not level:
            return True
    return False


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _check_choices(fields: Fields) -> None:
    for name in ("n", "best_of"):
        if (decode_field(_int_decoder, fields, name, "an integer") or 1) > MAX_CHOICES:
            raise InvalidRequest(f"{name!r} may be at most {MAX_CHOICES}.", param=name)


def _check_template_kwargs(fields: Fields) -> None:
    name = "chat_template_kwargs"
    for key in decode_field(_options_decoder, fields, name, "an object") or ():
        if key not in _TEMPLATE_KWARGS:
            raise InvalidRequest(f"The parameter {name}[{key!r}] is not accepted.", param=name)


def to_upstream(
    request: Request,
    surface: Surface,
    upstream_model: str,
    max_tokens: int | None = None,
    request_id: str | None = None,
) -> bytes:
    """Return the body as the upstream gets it: the caller's bytes but for the listed edits.

    The model's upstream name, `stream_options.include_usage` in a stream of an API that has it,
    `max_tokens` where the caller bounds nothing and its rules do, and the id where what happens
    inside the model is to be told by it.
    """
    edits: dict[str, Any] = {}
    if request.model != upstream_model:
        edits["model"] = upstream_model
    if surface.asks_for_usage and request.stream and not request.wants_usage:
        edits["stream_options"] = _asking_for_usage(request.fields)
    if max_tokens is not None:
        edits[surface.max_tokens_fields[0]] = max_tokens
    if request_id is not None and surface.id_field is not None:
        field, prefix = surface.id_field
        edits[field] = prefix + request_id
    if not edits:
        return request.body
    if request.fields.keys().isdisjoint(edits):
        end = request.body.rindex(b"}")
        return request.body[:end] + b"," + _encoder.encode(edits)[1:]
    return _encoder.encode(request.fields | edits)


def _asking_for_usage(fields: Fields) -> dict[str, Any]:
    options = decode_field(_options_decoder, fields, "stream_options", "an object") or {}
    options.pop("continuous_usage_stats", None)  # means nothing to one who asked for no usage
    return {**options, "include_usage": True}


def decode_field(
    decoder: msgspec.json.Decoder[Any], fields: Fields, name: str, expected: str
) -> Any:  # noqa: ANN401  (the decoder's type)
    """Read one field; None where it is missing.

    Raises:
        InvalidRequest: it is not what is expected, in words.
    """
    raw = fields.get(name)
    if raw is None:
        return None
    try:
        return decoder.decode(raw)
    except UNREADABLE:
        raise InvalidRequest(f"The field {name!r} must be {expected}.", param=name) from None
