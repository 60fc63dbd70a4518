"""Ids of exchanges that were settled, in half the memory that an ordered dictionary takes."""

import re
from typing import Final

_ID: Final = re.compile(r"ex-([0-9a-f]{24})")


class Remembered:
    """Knows at least the last half of `most` ids, and at most `most`: two sets that take turns."""

    def __init__(self, most: int) -> None:
        """Know of none."""
        self._turn = max(1, most // 2)
        self._recent: set[int | str] = set()
        self._before: set[int | str] = set()

    def add(self, exchange_id: str) -> None:
        """Remember an id."""
        if len(self._recent) >= self._turn:
            self._before, self._recent = self._recent, set()
        self._recent.add(_key(exchange_id))

    def __contains__(self, exchange_id: object) -> bool:
        """Say whether an id is remembered."""
        key = _key(str(exchange_id))
        return key in self._recent or key in self._before

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._recent) + len(self._before)


def _key(exchange_id: str) -> int | str:
    """The 96 bits of an id take half the memory of its 27 letters."""
    match = _ID.fullmatch(exchange_id)
    return exchange_id if match is None else int(match[1], 16)
