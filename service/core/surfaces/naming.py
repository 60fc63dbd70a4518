"""The model's name in an answer: the caller reads the name that it asked for."""

from typing import Any, Final

import msgspec

from service.core.unreadable import UNREADABLE

_encode: Final = msgspec.json.Encoder().encode
_fields_decoder: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_INNER: Final = ("message", "response")
"""What an event may wrap the answer in."""


def renamed(data: bytes, old: bytes, new: bytes) -> bytes:
    """Replace the field that names the model in a body or an event.

    `old` and `new` are the whole field, `"model":"name"`. It is looked for as bytes, which takes a
    fraction of a microsecond. In a string it cannot stand, for there its quotes are escaped; but
    the input of a tool's call and what is repeated of the request may have the same field: the
    rare answer that has it more than once is read.
    """
    if data.count(old) < 2:  # noqa: PLR2004  (once, or not at all)
        return data.replace(old, new)
    start, end = data.find(b"{"), data.rfind(b"}") + 1
    name = new[new.index(b":") + 1 :]
    try:
        return data[:start] + _named(data[start:end], name) + data[end:]
    except UNREADABLE:  # an error of the upstream's own making
        return data.replace(old, new)


def _named(body: bytes | msgspec.Raw, name: bytes) -> bytes:
    fields: dict[str, Any] = _fields_decoder.decode(body)
    if "model" in fields:
        fields["model"] = msgspec.Raw(name)
    for inner in _INNER:
        if bytes(fields.get(inner, b"")).startswith(b"{"):
            fields[inner] = msgspec.Raw(_named(fields[inner], name))
    return _encode(fields)
