"""What a request asks for, as far as rules and limits bound it; and who its end user is."""

from typing import Any, Final

import msgspec

from service.core.surfaces.shape import Fields, Request, Surface, decode_field
from service.core.unreadable import UNREADABLE
from service.errors import InvalidRequest

MAX_END_USER_CHARS: Final = 2048
"""An id that is signed takes up to a thousand."""

_int_decoder: Final = msgspec.json.Decoder(int | None)
_text_decoder: Final = msgspec.json.Decoder(str | None)
_list_decoder: Final = msgspec.json.Decoder(list[msgspec.Raw])
_metadata_decoder: Final = msgspec.json.Decoder(Fields | None)
_NOTHING: Final = frozenset({b"null", b"[]", b"{}"})
_TOOLS: Final = ("tools", "functions")
_CHOICES: Final = ("n", "best_of")


class Ask(msgspec.Struct, frozen=True):
    """What a request asks for."""

    prompt_bytes: int
    """Of the whole body: no prompt has more tokens than that."""
    max_tokens: int | None = None
    """Of one answer; None: as many as the model has room for."""
    choices: int = 1
    """How many answers there will be."""
    tools: bool = False


def ask_of(request: Request, surface: Surface) -> Ask:
    """Read what a request asks for.

    Raises:
        InvalidRequest: a field that bounds it is of a wrong type.
    """
    fields = request.fields
    return Ask(
        prompt_bytes=len(request.body),
        max_tokens=_max_tokens(fields, surface),
        choices=_choices(fields) if surface.max_tokens_fields else 0,
        tools=any(bytes(fields[name]) not in _NOTHING for name in _TOOLS if name in fields),
    )


def end_user_of(fields: Fields, surface: Surface, header: bytes | None) -> str | None:
    """Return the id of the end user that a request is for; None: it names none.

    The body wins over the header `OpenAI-Safety-Identifier`.

    Raises:
        InvalidRequest: the id is no text, empty or too long.
    """
    for name in surface.end_user_fields:
        if name in fields and (found := _end_user(fields, name)) is not None:
            return _usable(found, name)
    if header is None:
        return None
    return _usable(header.decode("utf-8", "replace").strip(), "OpenAI-Safety-Identifier")


def _end_user(fields: Fields, name: str) -> str | None:
    if name == "metadata":
        inner = decode_field(_metadata_decoder, fields, name, "an object") or {}
        return _text(inner, "user_id")
    return _text(fields, name)


def _text(fields: Fields, name: str) -> str | None:
    text: str | None = decode_field(_text_decoder, fields, name, "a string")
    return text


def _usable(end_user: str, name: str) -> str:
    if not 0 < len(end_user) <= MAX_END_USER_CHARS:
        raise InvalidRequest(
            f"The id of the end user must have 1 to {MAX_END_USER_CHARS} characters.", param=name
        )
    return end_user


def _max_tokens(fields: Fields, surface: Surface) -> int | None:
    """Return the largest that is given: which one counts where two are is the upstream's affair.

    A null is no bound: the upstream's default is for a request that has no such field.
    """
    if not surface.max_tokens_fields:
        return 0
    given = [_int(fields, name) for name in surface.max_tokens_fields if name in fields]
    if not given:
        return surface.max_tokens_default
    return max((it for it in given if it is not None), default=None)


def _choices(fields: Fields) -> int:
    """Return how many answers: for each prompt of a list as many as are asked for."""
    choices = max(1, *(_int(fields, name) or 1 for name in _CHOICES))
    prompt = fields.get("prompt")
    if prompt is None or not bytes(prompt).startswith(b"["):
        return choices
    try:
        return choices * max(1, len(_list_decoder.decode(prompt)))
    except UNREADABLE:
        return choices


def _int(fields: Fields, name: str) -> int | None:
    number: Any = decode_field(_int_decoder, fields, name, "an integer")
    return None if number is None else max(0, number)
