"""From the rows of a step to what is told of requests."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from vllm_probe.probes import Probes
from vllm_probe.steps import Floats, Ints, Step
from vllm_probe.tallies import Tallies, Tally
from vllm_probe.wire import Update

EVERY_TOKENS: Final = 8
"""An answer is told of after so many tokens more, and when it has ended."""

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
        """Of requests whose prompt was told: up to which token the answer was, too."""

    def step(self, step: Step, scores: Floats) -> None:
        """Take the scores of a step's rows, (rows, probes)."""
        self._tallies.add(step, scores)
        answered = self._tallies.answer_tokens(step.requests)
        due = [
            (request, tokens)
            for request, tokens in zip(step.requests, answered, strict=True)
            if request not in self._told or tokens - self._told[request] >= EVERY_TOKENS
        ]
        if updates := [it for request, tokens in due for it in self._news(request, tokens)]:
            self._tell(updates)

    def reached(self, requests: Sequence[str]) -> Ints:
        """Return how many tokens of each were read, or passed over; (requests,)."""
        return self._tallies.reached(requests)

    def ended(self, requests: Collection[str]) -> None:
        """Tell the last of requests that are over, and forget them."""
        known = [request for request in requests if request in self._tallies]
        if updates := [it for request in known for it in self._last(request)]:
            self._tell(updates)
        self._tallies.forget(known)
        for request in known:
            self._told.pop(request, None)

    def _news(self, request: str, tokens: int) -> Iterable[Update]:
        """Yield what is new of a request, of whose answer so many tokens were computed."""
        if request not in self._told:
            if not self._tallies.is_prompt_read(request):
                return
            self._told[request] = 0
            yield _update(request, "prompt", self._tallies.prompt(request), ended=False)
        if tokens - self._told[request] >= EVERY_TOKENS:
            self._told[request] = tokens
            yield _update(request, "answer", self._tallies.answer(request), ended=False)

    def _last(self, request: str) -> Iterable[Update]:
        for part, tally in (
            ("prompt", self._tallies.prompt(request)),
            ("answer", self._tallies.answer(request)),
        ):
            yield _update(request, part, tally, ended=True)


def _update(request: str, part: str, tally: Tally, *, ended: bool) -> Update:
    scores = tuple(round(it, _DIGITS) for it in tally.scores.tolist())
    return Update(request, part, tally.tokens, tally.read, scores, ended)
