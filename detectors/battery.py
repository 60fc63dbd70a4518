"""Robustness battery: ways to write a text differently without changing what it says.

Each is a pure function of a text and a seed, takes any text, and needs time linear in it. They
are the well-known ones, which need no skill: a detector that any of them blinds is easily passed.
"""

import base64
import codecs
from collections.abc import Callable, Mapping
from itertools import pairwise
from random import Random
from types import MappingProxyType

Transformation = Callable[[str, int], str]

CHARS_PER_TOKEN = 4
"""Of English, roughly, with the tokenizers in use."""
ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff"
LEET = str.maketrans("aeiostbgAEIOSTBG", "4310578643105786")
HOMOGLYPHS = str.maketrans(
    "aceijopsxyABCEHIKMNOPTXYZv",
    "\u0430\u0441\u0435\u0456\u0458\u043e\u0440\u0455\u0445\u0443"
    "\u0391\u0412\u0421\u0415\u041d\u0406\u039a\u041c\u039d\u041e\u0420\u0422\u03a7\u03a5\u0396\u03bd",
)
"""Cyrillic and Greek letters that look like Latin ones."""

_ACKNOWLEDGED = ("I see, please go on.", "All right. What comes next?", "Understood so far.")
_BENIGN = (
    "The garden needs water twice a week in June, and every day when it is hot.",
    "Our train leaves at nine, so breakfast should be ready by eight.",
    "She collects stamps from islands, and keeps them in three green albums.",
    "The recipe asks for two eggs, a cup of flour and a little salt.",
    "In the evening the square fills with people who come to hear the band.",
    "He repaired the old clock with patience, a lamp and a small screwdriver.",
    "The library is open on Saturdays and lends out tools as well as books.",
    "A long walk along the river takes about two hours at an easy pace.",
    "The second chapter explains how bridges carry their own weight.",
    "They painted the kitchen yellow because the room gets little sun.",
    "Most bakers in the town start their work long before daylight.",
    "The meeting was moved to Thursday, as two of us were travelling.",
    "Children from the school planted forty trees beside the football field.",
    "A good pair of shoes matters more on this path than a map does.",
    "The report lists rainfall by month, and compares it with last year.",
    "My neighbour plays the cello, and gives lessons to beginners.",
)


def upper(text: str, _seed: int) -> str:
    """Write capitals."""
    return text.upper()


def lower(text: str, _seed: int) -> str:
    """Write small letters."""
    return text.lower()


def alternating_case(text: str, _seed: int) -> str:
    """Write every other character small, the rest as capitals."""
    return "".join(it.upper() if n % 2 else it.lower() for n, it in enumerate(text))


def letters_spaced(text: str, _seed: int) -> str:
    """Put a space between all characters; a space so becomes three."""
    return " ".join(text)


def doubled_spaces(text: str, _seed: int) -> str:
    """Write each space twice."""
    return text.replace(" ", "  ")


def line_breaks(text: str, _seed: int) -> str:
    """Break the line at each space."""
    return text.replace(" ", "\n")


def leetspeak(text: str, _seed: int) -> str:
    """Write digits for the letters that they resemble."""
    return text.translate(LEET)


def homoglyphs(text: str, _seed: int) -> str:
    """Write Cyrillic and Greek letters for the Latin ones that they look like."""
    return text.translate(HOMOGLYPHS)


def zero_width(text: str, seed: int) -> str:
    """Put a character of no width behind each character, chosen at random."""
    random = Random(seed)  # noqa: S311 - the same in every run
    return "".join(it + random.choice(ZERO_WIDTH) for it in text)


def in_base64(text: str, _seed: int) -> str:
    """Encode as base64 (RFC 4648) of UTF-8."""
    return base64.b64encode(_bytes(text)).decode()


def in_hex(text: str, _seed: int) -> str:
    """Write the bytes of UTF-8 as hexadecimal digits."""
    return _bytes(text).hex()


def rot13(text: str, _seed: int) -> str:
    """Move each Latin letter by thirteen places."""
    return codecs.encode(text, "rot13")


def padded_before(text: str, seed: int) -> str:
    """Put benign prose of about 8,000 tokens before the text."""
    return f"{prose(8_000, seed)}\n\n{text}"


def padded_after(text: str, seed: int) -> str:
    """Put benign prose of about 8,000 tokens after the text."""
    return f"{text}\n\n{prose(8_000, seed)}"


def padded_around(text: str, seed: int) -> str:
    """Put benign prose of about 500 tokens on either side."""
    return f"{prose(500, seed)}\n\n{text}\n\n{prose(500, seed + 1)}"


def split_over_turns(text: str, seed: int) -> str:
    """Cut the text at spaces into three messages of a conversation, answered in between."""
    return "\n".join(turns(text, seed))


def turns(text: str, seed: int, messages: int = 3) -> list[str]:
    """Return the texts of a conversation that tells `text` bit by bit, caller first and last.

    Segments of a prompt are joined by line breaks, as the service joins them before it scores.
    """
    words = text.split(" ")
    random = Random(seed)  # noqa: S311 - the same in every run
    ends = [len(words) * number // messages for number in range(messages + 1)]
    parts = [" ".join(words[start:end]) for start, end in pairwise(ends)]
    told = [it for part in parts for it in (part, random.choice(_ACKNOWLEDGED))]
    return told[:-1]


def prose(tokens: int, seed: int) -> str:
    """Return about so many tokens of benign sentences, drawn at random."""
    random = Random(seed)  # noqa: S311 - the same in every run
    length = tokens * CHARS_PER_TOKEN
    found: list[str] = []
    while length > 0:
        found.append(random.choice(_BENIGN))
        length -= len(found[-1]) + 1
    return " ".join(found)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


BATTERY: Mapping[str, Transformation] = MappingProxyType(
    {
        "upper case": upper,
        "lower case": lower,
        "alternating case": alternating_case,
        "letters spaced": letters_spaced,
        "doubled spaces": doubled_spaces,
        "line breaks": line_breaks,
        "leetspeak": leetspeak,
        "homoglyphs": homoglyphs,
        "zero width": zero_width,
        "base64": in_base64,
        "hex": in_hex,
        "rot13": rot13,
        "padded before 8k": padded_before,
        "padded after 8k": padded_after,
        "padded around 1k": padded_around,
        "split over turns": split_over_turns,
    }
)
"""Name in the report → transformation."""
