"""Text of words that never comes twice, as words.h makes it, for clients in Python."""

import re
from random import Random
from typing import Final

from load_tests.processes import FOLDER

_HEADER: Final = (FOLDER / "words.h").read_text()


def _strings(name: str) -> tuple[str, ...]:
    listed = re.search(rf"{name}\[\] = \{{(.*?)\}};", _HEADER, re.DOTALL)
    return tuple(re.findall(r'"(\w+)"', listed[1])) if listed else ()


COMMON: Final = _strings("COMMON")
SYLLABLES: Final = _strings("SYLLABLES")
COMMON_SHARE: Final = 0.7


def words(chance: Random, count: int, common_share: float = COMMON_SHARE) -> str:
    """So many words: such a share of common ones, the others of two or three syllables."""
    return " ".join(_word(chance, common_share) for _ in range(count))


def _word(chance: Random, common_share: float) -> str:
    if chance.random() < common_share:
        return chance.choice(COMMON)
    return "".join(chance.choices(SYLLABLES, k=chance.randint(2, 3)))
