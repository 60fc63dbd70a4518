"""What probes inside vLLM make of an exchange, put together from what the plugin tells."""

from typing import Final

import msgspec

PROMPT: Final = "prompt"
ANSWER: Final = "answer"
MOST_REQUESTS: Final = 1_024
"""Of so many requests that vLLM makes of one exchange readings are kept: answers, or prompts."""


class Reading(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the probes read of one part."""

    tokens: int
    """That it has as far as is known, of all requests that vLLM makes of an exchange."""
    read: int
    """Of so many of them the model's states were there; of cached ones they may not be."""
    scores: tuple[float, ...]
    """Log-odds, the highest of those requests, by the probes of `Probed`."""


class Probed(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the probes read of an exchange. A part that nothing was told of is None."""

    digest: str
    """Of the probes and what they are bound to."""
    probes: tuple[str, ...]
    """The category of each."""
    prompt: Reading | None = None
    answer: Reading | None = None


class Told:
    """What was told of one exchange so far; of a request's part the last word counts."""

    __slots__ = ("_readings", "digest", "probes")

    def __init__(self) -> None:
        """Know of nothing."""
        self.digest = ""
        self.probes: tuple[str, ...] = ()
        self._readings: dict[str, dict[str, Reading]] = {}

    def take(
        self, digest: str, probes: tuple[str, ...], request: str, part: str, reading: Reading
    ) -> None:
        """Note a reading of a part of one of vLLM's requests.

        One of other probes makes all before it void: vLLM has been started anew.
        """
        if digest != self.digest:
            self.digest, self.probes = digest, probes
            self._readings.clear()
        of_part = self._readings.setdefault(part, {})
        if request in of_part or len(of_part) < MOST_REQUESTS:
            of_part[request] = reading

    def probed(self) -> Probed | None:
        """Return what is known; None: nothing."""
        if not self._readings:
            return None
        parts = {part: _together(found) for part, found in self._readings.items()}
        return Probed(self.digest, self.probes, parts.get(PROMPT), parts.get(ANSWER))


def _together(readings: dict[str, Reading]) -> Reading:
    """Add up several answers, or several prompts, of one exchange; the highest score counts."""
    if len(readings) == 1:
        return next(iter(readings.values()))
    found = readings.values()
    scores = tuple(map(max, zip(*(it.scores for it in found), strict=True)))
    return Reading(sum(it.tokens for it in found), sum(it.read for it in found), scores)
