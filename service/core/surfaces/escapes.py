r"""The escapes of JSON in a tool call's arguments, which come as a JSON text within a string.

Whoever calls the tool decodes them, so what they spell has to be screened: `\u0068ow` says `how`.
So has what they are as they stand, since the model may write what is no JSON.
"""

import re
from typing import Final

_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_UNFINISHED: Final = re.compile(
    r"(?<!\\)(?:\\\\)*(\\(?:u(?:[0-9a-fA-F]{0,3}|[dD][89abAB][0-9a-fA-F]{2}"
    r"(?:\\(?:u[0-9a-fA-F]{0,3})?)?))?)\Z"
)
"""An escape that more text may complete: a part of one, or a first surrogate without its second."""
_MOST: Final = len(r"\ud83d\ude0")
_SURROGATES: Final = re.compile("[\ud800-\udfff]+")
_SHORT: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def unescaped(text: str) -> str:
    """Return the text with JSON's escapes decoded; what is no escape stays as it is."""
    if "\\" not in text:
        return text
    return _SURROGATES.sub(_joined, _ESCAPE.sub(_decoded, text))


def readings(text: str) -> tuple[str, ...]:
    """Return the text as it stands, and with its escapes decoded if it has any."""
    return (text, unescaped(text)) if "\\" in text else (text,)


class Unescaper:
    """Decodes a text that comes in pieces, however escapes are cut."""

    __slots__ = ("_unfinished",)

    def __init__(self) -> None:
        """Begin with no text."""
        self._unfinished = ""

    def add(self, text: str) -> str:
        """Return what a piece adds; an unfinished escape at its end is added by the next."""
        text, self._unfinished = self._unfinished + text, ""
        if "\\" not in text:
            return text
        end = _end_of_finished(text)
        self._unfinished = text[end:]
        return unescaped(text[:end])


def _end_of_finished(text: str) -> int:
    """Return where an unfinished escape begins that ends the text; else the text's end."""
    start = max(0, len(text) - _MOST)
    backslashes = start - len(text[:start].rstrip("\\"))
    start -= backslashes % 2  # not behind a backslash that begins an escape
    unfinished = _UNFINISHED.search(text[start:])
    return len(text) if unfinished is None else start + unfinished.start(1)


def _decoded(found: re.Match[str]) -> str:
    code, short = found.groups()
    return chr(int(code, 16)) if code else _SHORT.get(short, short)


def _joined(found: re.Match[str]) -> str:
    return found[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
