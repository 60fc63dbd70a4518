"""The results that were wanted last, a bounded number of them."""

from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """Keeps what was put or looked up last, by digest."""

    def __init__(self, most: int) -> None:
        """Keep nothing yet, and never more than `most`."""
        self._most = most
        self._found: OrderedDict[bytes, T] = OrderedDict()

    def get(self, digest: bytes) -> T | None:
        """Return what was put under a digest, if it is still there."""
        found = self._found.get(digest)
        if found is not None:
            self._found.move_to_end(digest)
        return found

    def put(self, digest: bytes, value: T) -> None:
        """Keep a value, in place of what was wanted the longest ago."""
        self._found[digest] = value
        if len(self._found) > self._most:
            self._found.popitem(last=False)
