"""Reads what vLLM's model makes of the tokens of each step.

The residual stream comes by vLLM's own way for drafting models (EAGLE-3): the model returns what
enters the layers it is told of, beside its usual output, and no output token depends on it.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch

from vllm_probe.cached import CachedScores
from vllm_probe.errors import ProbeError
from vllm_probe.probes import Probes
from vllm_probe.runs import Run
from vllm_probe.sender import Sender
from vllm_probe.steps import Floats, Step
from vllm_probe.watch import Watch

_MOST_ROWS: Final = 512
"""Of states that wait to be read: 64 MiB, of four layers that are 8,192 numbers wide."""


class Reader:
    """Reads each step of one model runner."""

    def __init__(
        self,
        runner: Any,  # noqa: ANN401  (vLLM's GPUModelRunner)
        probes: Probes,
        sender: Sender,
        *,
        cached: bool,
    ) -> None:
        """Have the model return what the probes read. Called before it first runs.

        `cached`: keep the scores of all tokens in vLLM's cache.

        Raises:
            ProbeError: the model has no way to.
        """
        model = runner.get_model()
        if not hasattr(model, "set_aux_hidden_state_layers"):
            raise ProbeError(f"vLLM's {type(model).__name__} does not give its states away")
        self._runner = runner
        self._sender = sender
        self._watch = Watch(probes, sender.tell)
        self._wants_cached = cached
        self._cached: CachedScores | None = None
        self._run: Run | None = None
        self._parts = _by_layer(probes, runner.device)
        self._order = np.argsort([it.layer for it in probes.probes], kind="stable").argsort()
        """Where each probe is among those that `_parts` has, layer by layer."""
        model.set_aux_hidden_state_layers(probes.layers)
        runner.use_aux_hidden_state_outputs = True

    def before(self, scheduled: Any) -> None:  # noqa: ANN401  (vLLM's SchedulerOutput)
        """Read the run that the step ends which comes now, while vLLM still knows its requests."""
        if self._run is not None and not self._run.goes_on(scheduled):
            self._read(self._run)

    def after(self, scheduled: Any) -> None:  # noqa: ANN401  (vLLM's SchedulerOutput)
        """Take what the step that was just computed made of its tokens."""
        if scheduled.finished_req_ids:
            self._watch.ended(scheduled.finished_req_ids)
        if scheduled.total_num_scheduled_tokens == 0:
            return
        if (state := self._runner.execute_model_state) is None:
            raise ProbeError("the model gave no states away")
        run = self._run or Run(self._step(), scheduled.num_scheduled_tokens)
        run.states.append(state.aux_hidden_states)
        self._run = run
        if len(run.states) >= self._most_steps(run):
            self._read(run)

    def end(self) -> None:
        """Let the gateways know that nothing more is read."""
        self._sender.end()

    def _most_steps(self, run: Run) -> int:
        if len(run.states) == 1 and not run.may_go_on:
            return 1
        return min(self._watch.quiet_steps, _MOST_ROWS // len(run.counts))

    def _read(self, run: Run) -> None:
        self._run = None
        batch = self._runner.input_batch
        if not run.ends_with(batch.req_ids, batch.num_computed_tokens_cpu[: batch.num_reqs]):
            raise ProbeError("a step did not compute the tokens after those of the step before")
        step = run.joined()
        scores = self._scores(run.states, int(run.first.starts[-1]))
        if self._wants_cached:
            step, scores = self._complete(step, scores)
        self._watch.step(step, scores)

    def _step(self) -> Step:
        batch = self._runner.input_batch
        count = batch.num_reqs
        return Step(
            list(batch.req_ids),
            self._runner.query_start_loc.np[: count + 1].astype(np.int64),
            batch.num_computed_tokens_cpu[:count].astype(np.int64),
            batch.num_prompt_tokens[:count].astype(np.int64),
        )

    def _complete(self, step: Step, scores: Floats) -> tuple[Step, Floats]:
        tables = self._runner.input_batch.block_table.block_tables
        if len(tables) > 1:
            raise ProbeError("a cache of several kinds of layers is not read yet")
        if self._cached is None:
            self._cached = CachedScores(scores.shape[1], tables[0].block_size)
        blocks = tables[0].get_numpy_array()[: len(step.requests)]
        return self._cached.complete(step, scores, blocks, self._watch.reached(step.requests))

    def _scores(self, states: "Sequence[Sequence[torch.Tensor]]", rows: int) -> Floats:
        """Apply the probes to so many rows of each step; those of each request are together."""
        by_layer = [
            torch.addmm(offsets, _together(of_layer, rows).float(), weights)
            for of_layer, (offsets, weights) in zip(
                zip(*states, strict=True), self._parts, strict=True
            )
        ]
        scores: Floats = torch.cat(by_layer, dim=1).cpu().numpy()
        return scores.take(self._order, axis=1)


def _together(states: "Sequence[torch.Tensor]", rows: int) -> "torch.Tensor":
    """Return the first rows of each step's states: all steps of the first row, then the next."""
    if len(states) == 1:
        return states[0][:rows]
    return torch.stack(states, dim=1)[:rows].flatten(0, 1)


def _by_layer(probes: Probes, device: Any) -> "list[tuple[torch.Tensor, torch.Tensor]]":  # noqa: ANN401
    """For each layer that is read: its probes' offsets, and weights, (hidden size, probes)."""
    weights = torch.from_numpy(probes.weights).to(device)
    offsets = torch.from_numpy(probes.offsets).to(device)
    found = []
    for layer in probes.layers:
        columns = [number for number, it in enumerate(probes.probes) if it.layer == layer]
        found.append((offsets[columns], weights[columns].T.contiguous()))
    return found
