"""Steps that are read together.

Most steps compute one more token for each request of the step before. To read one takes about as
long as to read eight: what is slow is to come back to code and data that the model's weights have
driven out of the CPU's caches meanwhile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vllm_probe.steps import Ints, Step


@dataclass(slots=True)
class Run:
    """A step, and those that computed one token more for each of its requests, in a row."""

    first: Step
    counts: Mapping[str, int]
    """How many tokens of each request were scheduled."""
    states: list[Sequence[Any]] = field(default_factory=list)
    """Of each step: what enters each layer that is read, (rows, hidden size)."""

    @property
    def may_go_on(self) -> bool:
        """Say whether another step could follow: prompts are read at once."""
        first = self.first
        return bool((first.counts == 1).all() and (first.computed >= first.prompts).all())

    def goes_on(self, scheduled: Any) -> bool:  # noqa: ANN401  (vLLM's SchedulerOutput)
        """Say whether a step computes the next tokens of the same requests, of which none ended."""
        return not scheduled.finished_req_ids and scheduled.num_scheduled_tokens == self.counts

    def joined(self) -> Step:
        """Return all steps as one, in which each request has a token of each."""
        steps = len(self.states)
        return replace(self.first, starts=self.first.starts * steps, steps=steps)

    def ends_with(self, requests: Sequence[str], computed: Ints) -> bool:
        """Say whether the last step was one of these requests, after so many tokens of each."""
        if list(requests) != list(self.first.requests):
            return False
        return bool((computed == self.first.computed + len(self.states) - 1).all())
