"""What probes inside vLLM make of an exchange, put together from what the plugin tells."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from detectors import api

PROMPT: Final = "prompt"
ANSWER: Final = "answer"
MOST_REQUESTS: Final = 1_024
"""Of so many requests that vLLM makes of one exchange readings are kept: answers, or prompts."""
LEAST_TOKENS: Final = 8
"""Of an answer: what is read of fewer says too little of it to cut it off."""

_CHILD: Final = re.compile(r"^\d+_")
"""Before vLLM's id of a request that is one of the `n` of another."""


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
    """Of the probes and what they are bound to; empty: nothing was told."""
    probes: tuple[str, ...]
    """What each looks for."""
    prompt: Reading | None = None
    answer: Reading | None = None

    def prompts(self) -> api.Reading | None:
        """Return the reading of all its prompts, as detectors take it; None: there is none."""
        return self._given(self.prompt)

    def answers(self) -> api.Reading | None:
        """Return the reading of all its answers, as detectors take it; None: there is none."""
        return self._given(self.answer)

    def _given(self, it: Reading | None) -> api.Reading | None:
        return None if it is None else api.Reading(self.digest, it.tokens, it.read, it.scores)


class Told:
    """What was told of one exchange so far; of a request's part the last word counts."""

    __slots__ = ("_grown", "_is_grown_known", "_probed", "_readings", "digest", "probes")

    def __init__(self) -> None:
        """Know of nothing."""
        self.digest = ""
        self.probes: tuple[str, ...] = ()
        self._readings: dict[str, dict[str, Reading]] = {}
        self._probed: Probed | None = None
        self._grown: api.Reading | None = None
        self._is_grown_known = True

    def take(
        self, digest: str, probes: tuple[str, ...], request: str, part: str, reading: Reading
    ) -> None:
        """Note a reading of a part of one of vLLM's requests.

        One of other probes makes all before it void: vLLM has been started anew.
        """
        if (digest, probes) != (self.digest, self.probes):
            self.digest, self.probes = digest, probes
            self._readings.clear()
        self._probed = None
        self._is_grown_known = False
        of_part = self._readings.setdefault(part, {})
        if request in of_part or len(of_part) < MOST_REQUESTS:
            of_part[request] = reading

    def probed(self) -> Probed:
        """Return what is known, the same object until more is told."""
        if self._probed is None:
            prompts, answers = (self._readings.get(it, {}) for it in (PROMPT, ANSWER))
            self._probed = Probed(
                self.digest,
                self.probes,
                _together(_best_read(prompts)),
                _together([*answers.values()]),
            )
        return self._probed

    def grown(self) -> api.Reading | None:
        """Return the reading of those answers that have grown enough to be cut off by it.

        None: there are none. The same object until more is told.
        """
        if not self._is_grown_known:
            self._is_grown_known = True
            answers = self._readings.get(ANSWER, {}).values()
            grown = _together([it for it in answers if it.tokens >= LEAST_TOKENS])
            self._grown = Probed(self.digest, self.probes, answer=grown).answers()
        return self._grown


def _best_read(prompts: Mapping[str, Reading]) -> list[Reading]:
    """Return one reading for each prompt: with `n` vLLM reads one several times, from its cache."""
    found: dict[str, Reading] = {}
    for request, reading in prompts.items():
        of_all = _CHILD.sub("", request)
        if of_all not in found or reading.read > found[of_all].read:
            found[of_all] = reading
    return [*found.values()]


def _together(readings: Sequence[Reading]) -> Reading | None:
    """Add up several answers, or several prompts, of one exchange; the highest score counts."""
    if len(readings) <= 1:
        return readings[0] if readings else None
    read = [it for it in readings if it.read] or readings  # of no token the log-odds are 0
    scores = tuple(map(max, zip(*(it.scores for it in read), strict=True)))
    return Reading(sum(it.tokens for it in readings), sum(it.read for it in readings), scores)
