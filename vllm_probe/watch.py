"""From the rows of steps to what is told of requests."""

from collections.abc import Callable, Collection, Sequence
from typing import Final

import numpy as np

from vllm_probe.probes import Probes
from vllm_probe.steps import Floats, Ints, Step
from vllm_probe.tallies import Tallied, Tallies
from vllm_probe.wire import Update

EVERY_STEPS: Final = 8
"""So often all answers are told of that have grown, each by a token a step."""
_DIGITS: Final = 4
"""Of log-odds: they are in every record of an exchange."""

Tell = Callable[[Sequence[Update]], None]


class Watch:
    """Follows requests step by step; what it tells goes on at once."""

    def __init__(self, probes: Probes, tell: Tell) -> None:
        """Know of no request."""
        self._tallies = Tallies(it.pooling for it in probes.probes)
        self._tell = tell
        self._told: dict[str, int] = {}
        """Of requests whose prompt was told: how many tokens of the answer were, too."""
        self.quiet_steps = EVERY_STEPS
        """Answers are told of after so many more: up to there steps may be taken together."""

    def step(self, step: Step, scores: Floats) -> None:
        """Take the scores of a step's rows, (rows, probes)."""
        self._tallies.add(step, scores)
        self.quiet_steps -= step.steps
        updates = self._prompts([it for it in step.requests if it not in self._told])
        if self.quiet_steps <= 0:
            self.quiet_steps = EVERY_STEPS
            updates += self._answers()
        if updates:
            self._tell(updates)

    def reached(self, requests: Sequence[str]) -> Ints:
        """Return how many tokens of each were read, or passed over; (requests,)."""
        return self._tallies.reached(requests)

    def ended(self, requests: Collection[str]) -> None:
        """Tell the last of requests that are over, and forget them."""
        known = [request for request in requests if request in self._tallies]
        if not known:
            return
        prompts = _updates(known, "prompt", self._tallies.prompts(known), ended=True)
        answers = _updates(known, "answer", self._tallies.answers(known), ended=True)
        self._tell([it for of_one in zip(prompts, answers, strict=True) for it in of_one])
        self._tallies.forget(known)
        for request in known:
            self._told.pop(request, None)

    def _prompts(self, requests: Sequence[str]) -> list[Update]:
        """Return what is told of those prompts that have been read."""
        read = [it for it in requests if self._tallies.is_prompt_read(it)]
        if not read:
            return []
        if not self._told:
            self.quiet_steps = EVERY_STEPS
        self._told |= dict.fromkeys(read, 0)
        return _updates(read, "prompt", self._tallies.prompts(read), ended=False)

    def _answers(self) -> list[Update]:
        """Return what is told of answers that have grown."""
        known = list(self._told)
        tokens = dict(zip(known, self._tallies.answer_tokens(known).tolist(), strict=True))
        grown = [it for it in known if tokens[it] > self._told[it]]
        self._told |= {it: tokens[it] for it in grown}
        return _updates(grown, "answer", self._tallies.answers(grown), ended=False)


def _updates(requests: Sequence[str], part: str, found: Tallied, *, ended: bool) -> list[Update]:
    scores = found.scores.astype(np.float64).round(_DIGITS).tolist()
    counts = zip(requests, found.tokens.tolist(), found.read.tolist(), scores, strict=True)
    return [Update(it, part, all_, read, tuple(some), ended) for it, all_, read, some in counts]
