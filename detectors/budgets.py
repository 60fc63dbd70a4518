"""How much a dear stage of a cascade may be asked: a share of the traffic, characters a second."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """A token bucket: holds up to `most`, and something is taken only while there is something.

    What is taken may exceed what is there, once: the debt is paid before anything else is taken.
    So one large text is never refused for being larger than the bucket.
    """

    most: float
    level: float

    def add(self, amount: float) -> None:
        """Fill in; what does not fit is lost."""
        self.level = min(self.most, self.level + amount)

    def take(self, amount: float) -> None:
        """Take out."""
        self.level -= amount

    @property
    def is_open(self) -> bool:
        """Say whether anything may be taken now."""
        return self.level > 0


class Budget:
    """What a stage may be asked. Without bounds, everything.

    Args:
        max_share: of the texts of its parts that the cascade sees, over the long run.
        max_chars_per_s: of the texts that the stage is asked about, over the long run.
        clock: monotonic seconds.
        burst_texts: how many texts may be asked about at once when none was for long.
        burst_s: how many seconds' worth of characters may.
    """

    def __init__(
        self,
        max_share: float | None = None,
        max_chars_per_s: float | None = None,
        *,
        clock: Callable[[], float],
        burst_texts: float = 100.0,
        burst_s: float = 10.0,
    ) -> None:
        """Begin with full buckets."""
        self._share = max_share
        self._rate = max_chars_per_s
        self._clock = clock
        self._texts = Bucket(burst_texts, burst_texts)
        chars = burst_s * (max_chars_per_s or 0.0)
        self._chars = Bucket(chars, chars)
        self._at = clock()

    def saw(self, texts: int) -> None:
        """Note how many texts the cascade has seen, and that time has passed."""
        now = self._clock()
        self._texts.add(texts * (self._share or 0.0))
        self._chars.add((now - self._at) * (self._rate or 0.0))
        self._at = now

    def allows(self, chars: int) -> bool:
        """Take what asking about a text of so many characters takes, if there is something left."""
        if self._share is not None and not self._texts.is_open:
            return False
        if self._rate is not None and not self._chars.is_open:
            return False
        self._texts.take(1.0)
        self._chars.take(chars)
        return True
