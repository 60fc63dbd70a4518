"""POST /v1/embeddings: a prompt, and an answer without text."""

from typing import Final

import msgspec

from service.core.surfaces.answers import NoTextReader
from service.core.surfaces.errors import OPENAI_ERRORS
from service.core.surfaces.shape import Fields, Surface, no_stream
from service.core.unreadable import UNREADABLE
from service.errors import InvalidRequest

_input_decoder: Final = msgspec.json.Decoder(str | list[str])
_FORMATS: Final = frozenset({b"null", b'"float"', b'"base64"'})


def _check_prompt(fields: Fields) -> None:
    """Refuse input that cannot be read, token ids above all, and answers that are no JSON."""
    if "messages" in fields:
        raise InvalidRequest(
            "The field 'messages' is not accepted: send 'input'.", param="messages"
        )
    if "input" not in fields:
        raise InvalidRequest("The field 'input' is missing.", param="input")
    try:
        _input_decoder.decode(fields["input"])
    except UNREADABLE:
        raise InvalidRequest(
            "The field 'input' must be a string or a list of strings; token ids are not accepted.",
            param="input",
        ) from None
    if bytes(fields.get("encoding_format", b"null")) not in _FORMATS:
        raise InvalidRequest(
            "The field 'encoding_format' must be 'float' or 'base64'.", param="encoding_format"
        )


EMBEDDINGS: Final = Surface(
    name="embeddings",
    path="/v1/embeddings",
    parameters=frozenset(
        {
            "dimensions",
            "encoding_format",
            "input",
            "metadata",
            "model",
            "safety_identifier",
            "user",
        }
    ),
    prompt_fields=("input",),
    check_prompt=_check_prompt,
    answer_reader=NoTextReader,
    cut_stream=no_stream,
    cut_whole=bytes,
    errors=OPENAI_ERRORS,
)
