"""Run by vLLM's own Python: an engine in this process that generates when it is told to.

python -P load_tests/probed_engine.py      a line of JSON in, a line of JSON out

The first line has the keywords of vLLM's `LLM`; it is answered when the engine is up. Every other
is a job: `prompts`, `first` (the number of the first of their ids), `tokens` (how many each
generates, the most likely one each time), `probed`, whether the plugin is on, and `times_plugin`,
to learn how much of each step it takes. Nothing is left in the cache of the job before. Before each
step of the engine the answer is `null`, and a line is awaited, so that two engines can take turns;
after the last it is what the job took.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Final, TextIO

GATEWAY: Final = "0123456789abcdef"
"""Which the ids of the requests name."""


def main() -> None:
    """Serve until the input ends."""
    answers = _own_output()
    from vllm import LLM  # noqa: PLC0415  (what it logs goes elsewhere from here on)

    engine = LLM(**json.loads(sys.stdin.readline())).llm_engine
    plugin = Plugin(engine)
    _answer(answers, {})
    for line in sys.stdin:
        job = json.loads(line)
        plugin.turn(on=job["probed"])
        _answer(answers, _generate(engine, job, answers))


class Plugin:
    """The plugin in an engine, which can be turned off while nothing is computed.

    Then the model gives no states away, and nothing is read. What is left is a thread that tells
    the gateway once a second that it lives.
    """

    def __init__(self, engine: Any) -> None:  # noqa: ANN401  (vLLM's LLMEngine)
        """Find it, turned on."""
        from vllm_probe.hooks import ARMED  # noqa: PLC0415

        self._place = ARMED
        self._worker = engine.engine_core.engine_core.model_executor.driver_worker.worker
        self._reader = getattr(self._worker, ARMED)
        self._is_on = True
        self._layers = self._worker.model_runner.get_model().model.aux_hidden_state_layers

    def turn(self, *, on: bool) -> None:
        """Turn it on or off, unless it has disarmed itself."""
        if self._is_on and getattr(self._worker, self._place) is None:
            sys.exit("the probes are not armed: the lines above say why")
        self._is_on = on
        runner = self._worker.model_runner
        runner.get_model().set_aux_hidden_state_layers(self._layers if on else ())
        runner.use_aux_hidden_state_outputs = on
        setattr(self._worker, self._place, self._reader if on else None)


def _own_output() -> TextIO:
    """Keep the output for answers: what others write to it goes where errors go."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _answer(answers: TextIO, found: dict[str, Any] | None) -> None:
    answers.write(json.dumps(found) + "\n")
    answers.flush()


def _generate(engine: Any, job: dict[str, Any], answers: TextIO) -> dict[str, Any]:  # noqa: ANN401
    """Do a job; return what it took, step by step, and the tokens."""
    from vllm import SamplingParams  # noqa: PLC0415

    reads = _time_reads() if job["times_plugin"] else []
    greedy = SamplingParams(temperature=0.0, max_tokens=job["tokens"], ignore_eos=True)
    assert engine.reset_prefix_cache()
    cpu_begun = time.process_time()
    for number, prompt in enumerate(job["prompts"], job["first"]):
        engine.add_request(f"ex-{GATEWAY}{number:08x}", prompt, greedy)
    outputs, steps_s = {}, []
    has_ended = False
    while not has_ended:
        _answer(answers, None)
        sys.stdin.readline()
        has_ended = not engine.has_unfinished_requests()  # as a last step learns
        step_begun = time.perf_counter()
        done = engine.step()
        steps_s.append(time.perf_counter() - step_begun)
        outputs.update({it.request_id: list(it.outputs[0].token_ids) for it in done})
    return {
        "cpu_s": time.process_time() - cpu_begun,
        "steps_s": steps_s,
        "reads_s": reads,
        "tokens": [outputs[it] for it in sorted(outputs)],
        "first": job["first"],
    }


def _time_reads() -> list[float]:
    """Have the plugin's share of each step from here on written to a list, in seconds."""
    from vllm_probe.reader import Reader  # noqa: PLC0415

    found: list[float] = []

    def timed(name: str, take: Callable[[float], None]) -> None:
        read = getattr(Reader, name)
        read = getattr(read, "__wrapped__", read)

        def wrapper(self: Reader, scheduled: Any) -> None:  # noqa: ANN401
            begun = time.perf_counter()
            read(self, scheduled)
            take(time.perf_counter() - begun)

        wrapper.__wrapped__ = read  # type: ignore[attr-defined]
        setattr(Reader, name, wrapper)

    def add(taken_s: float) -> None:
        found[-1] += taken_s

    timed("before", found.append)
    timed("after", add)
    return found


if __name__ == "__main__":
    main()
