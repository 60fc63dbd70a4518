"""Where vLLM's worker is listened to.

The residual stream comes by vLLM's own way for drafting models (EAGLE-3): the model returns what
enters the layers it is told of, beside its usual output, and no output token depends on it.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch

from vllm_probe.cached import CachedScores
from vllm_probe.errors import ProbeError
from vllm_probe.probes import Probes
from vllm_probe.steps import Floats, Step
from vllm_probe.watch import Watch

_log = logging.getLogger("vllm.watchgate_probe")
_ARMED: Final = "_watchgate_probe"


class Reader:
    """Reads each step of one model runner, until something fails."""

    def __init__(
        self,
        runner: Any,  # noqa: ANN401  (vLLM's GPUModelRunner)
        probes: Probes,
        watch: Watch,
        *,
        cached: bool,
    ) -> None:
        """Have the model return what the probes read. Called before it first runs.

        `cached`: keep the scores of all tokens in vLLM's cache.
        """
        self._runner = runner
        self._watch = watch
        self._wants_cached = cached
        self._cached: CachedScores | None = None
        self._parts = _by_layer(probes, runner.device)
        self._order = np.argsort([it.layer for it in probes.probes], kind="stable").argsort()
        """Where each probe is among those that `_parts` has, layer by layer."""
        runner.get_model().set_aux_hidden_state_layers(probes.layers)
        runner.use_aux_hidden_state_outputs = True

    def read(self, scheduled: Any) -> None:  # noqa: ANN401  (vLLM's SchedulerOutput)
        """Take what the step that was just computed made of its tokens."""
        self._watch.ended(scheduled.finished_req_ids)
        state = self._runner.execute_model_state
        if scheduled.total_num_scheduled_tokens == 0 or state is None:
            return
        step = self._step()
        scores = self._scores(state.aux_hidden_states, int(step.starts[-1]))
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

    def _scores(self, states: "list[torch.Tensor]", rows: int) -> Floats:
        by_layer = [
            torch.addmm(offsets, state[:rows].float(), weights)
            for state, (offsets, weights) in zip(states, self._parts, strict=True)
        ]
        scores: Floats = torch.cat(by_layer, dim=1).cpu().numpy()
        return scores.take(self._order, axis=1)


def _by_layer(probes: Probes, device: Any) -> "list[tuple[torch.Tensor, torch.Tensor]]":  # noqa: ANN401
    """For each layer that is read: its probes' offsets, and weights, (hidden size, probes)."""
    weights = torch.from_numpy(probes.weights).to(device)
    offsets = torch.from_numpy(probes.offsets).to(device)
    found = []
    for layer in probes.layers:
        columns = [number for number, it in enumerate(probes.probes) if it.layer == layer]
        found.append((offsets[columns], weights[columns].T.contiguous()))
    return found


def listen(worker: type, arm: Callable[[Any], Reader]) -> None:
    """Have workers of a class arm themselves when their model is loaded, and read each step.

    A failure, then or later, ends the reading and nothing else.
    """
    load, execute = worker.load_model, worker.execute_model  # type: ignore[attr-defined]
    if hasattr(worker, _ARMED):
        return
    setattr(worker, _ARMED, None)

    def load_model(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        loaded = load(self, *args, **kwargs)
        try:
            setattr(self, _ARMED, arm(self))
        except ProbeError as error:
            _log.error("the probes are not armed: %s", error)
        except Exception:  # noqa: BLE001  (whatever it was: vLLM serves on)
            _log.exception("the probes are not armed")
        return loaded

    def execute_model(self: Any, scheduled: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        output = execute(self, scheduled, *args, **kwargs)
        reader = getattr(self, _ARMED)
        if reader is not None:
            try:
                reader.read(scheduled)
            except Exception:  # noqa: BLE001
                setattr(self, _ARMED, None)
                _log.exception("the probes are disarmed")
        return output

    worker.load_model, worker.execute_model = load_model, execute_model  # type: ignore[attr-defined]
