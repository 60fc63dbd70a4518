"""The callers' own account: what each of them asked, was given, and how it ended.

The judge sets it against what Watchgate recorded, so nothing in it comes from Watchgate's log.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class End(StrEnum):
    """How a request ended for its caller."""

    COMPLETED = "completed"
    REFUSED = "refused"
    """An error came in place of an answer, or nobody took the connection."""
    BROKEN = "broken"
    """The connection broke before an answer, or within one; or the answer said that it broke."""


@dataclass(frozen=True, slots=True)
class Told:
    """One request, as its caller tells of it. Times are of the monotonic clock."""

    receipt: str
    """The exchange id from `x-watchgate-receipt`; empty: no header ever came."""
    model: str
    misuse: bool
    end: End
    status: int
    """0: none came."""
    code: str
    """Of the error object, or why the connection failed."""
    body_bytes: int
    texts: tuple[str, ...]
    """The pieces of the model's answer that the caller read."""
    asked_at: float
    ended_at: float

    @property
    def was_served(self) -> bool:
        """Whether at least a byte of an answer of the model reached the caller."""
        return self.status == 200 and self.body_bytes > 0


class Account:
    """Grows while callers call; threads share it."""

    def __init__(self) -> None:
        self._told: list[Told] = []
        self._lock = threading.Lock()

    def tell(self, told: Told) -> None:
        """Take note of a request that has ended."""
        with self._lock:
            self._told.append(told)

    def __len__(self) -> int:
        """How many requests have ended."""
        return len(self._told)

    def since(self, index: int = 0) -> Sequence[Told]:
        """What was told from this index on, in the order of the ends."""
        with self._lock:
            return self._told[index:]
