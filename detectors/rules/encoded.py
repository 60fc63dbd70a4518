"""Readable text that was put in base64, hex, percent signs or rot13.

What is found is decoded and given to the other rules, and decoded again, `DEPTH` times at most. A
level holds each character of the one before it once a kind at most, so all of it takes linear time.
"""

import binascii
import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from detectors.rules.engine import Pattern, Span
from detectors.rules.views import View

DEPTH = 2
"""How often what was decoded is decoded again."""


class Kind(StrEnum):
    """A way to write a text so that it does not read as one."""

    BASE64 = "base64"
    HEX = "hex"
    PERCENT = "percent"
    ROT13 = "rot13"


@dataclass(frozen=True, slots=True)
class Payload:
    """What was written so, where in the text (characters), and what it says."""

    kind: Kind
    span: Span
    text: str


# A run ends where another character stands. Shorter runs read as text by chance.
_RUNS = {
    Kind.HEX: Pattern(
        r"(?:[0-9A-Fa-f]{2}){20,}|(?:\\x[0-9A-Fa-f]{2}){20,}"
        r"|(?:(?:0x)?[0-9A-Fa-f]{2}[ ,:]{1,2}){19,}(?:0x)?[0-9A-Fa-f]{2}"
    ),
    Kind.BASE64: Pattern(
        r"[A-Za-z0-9+/_\-]{24,}(?:\r?\n[A-Za-z0-9+/_\-]{24,})*(?:\r?\n[A-Za-z0-9+/_\-]+)?=*"
    ),
    Kind.PERCENT: Pattern(r"(?:[A-Za-z0-9._~+\-]{0,2}%[0-9A-Fa-f]{2}){12,}[A-Za-z0-9._~+\-]{0,2}"),
}
_NOT_HEX = re.compile(rb"0x|\\x|[ ,:]")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_READABLE = 0.95

_COMMON = (
    b"the and that with for you how what this are can your from have not will would should about "
    b"which when please tell make write give explain into all any"
)
_PLAIN = frozenset(_COMMON.split())
_TURNED = frozenset(codecs.encode(_COMMON.decode(), "rot13").encode().split())
_ANY_TURNED = Pattern(r"\b(?:" + b"|".join(sorted(_TURNED)).decode() + r")\b")
_SEGMENT = re.compile(rb"[^\n.:;!?\"'`<>()\[\]{}]+")
_WORDS = re.compile(rb"[a-z]+")
_LEAST_TURNED = 2
_SHARE_TURNED = 0.12


def payloads(view: View) -> Iterator[Payload]:
    """Yield what is encoded in a window and readable once it is decoded."""
    for kind, pattern in _RUNS.items():
        for span, run in pattern.groups(view.raw):
            if text := _readable(_decode(kind, run)):
                yield Payload(kind, view.raw_span(span), text)
    if _ANY_TURNED.found_in(view.normalised):
        yield from _turned(view)


def _decode(kind: Kind, run: bytes) -> bytes:
    match kind:
        case Kind.HEX:
            return bytes.fromhex(_NOT_HEX.sub(b"", run).decode())
        case Kind.BASE64:
            compact = b"".join(run.rstrip(b"=").split()).translate(bytes.maketrans(b"-_", b"+/"))
            return binascii.a2b_base64(compact[: len(compact) // 4 * 4])
        case _:
            return _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), run)


def _readable(decoded: bytes) -> str:
    """Return what was decoded as text, or nothing where it is not one."""
    text = decoded.decode(errors="replace")
    readable = sum(map(str.isprintable, text)) - text.count("\ufffd")
    readable += text.count("\n") + text.count("\t")
    letters = sum(map(str.isalpha, text))
    return text if readable >= _READABLE * len(text) and 2 * letters > len(text) else ""


def _turned(view: View) -> Iterator[Payload]:
    """Yield the sentences whose words are common ones of English once they are turned."""
    for found in _SEGMENT.finditer(view.raw):
        words = _WORDS.findall(found[0].lower())
        turned = sum(word in _TURNED for word in words)
        if turned < max(_LEAST_TURNED, _SHARE_TURNED * len(words)):
            continue
        if turned > sum(word in _PLAIN for word in words):
            text = codecs.encode(found[0].decode(errors="ignore"), "rot13")
            yield Payload(Kind.ROT13, view.raw_span(found.span()), text)
