"""Run by vLLM's own Python: an engine in this process that generates when it is told to.

python -P load_tests/probed_engine.py      a line of JSON in, a line of JSON out

The first line has the keywords of vLLM's `LLM`; it is answered when the engine is up. Every other
is a job: `prompts`, `first` (the number of the first of their ids), `tokens` (how many each
generates, the most likely one each time), and `times_plugin`, to learn how much of each step the
plugin takes. Nothing is left in the cache of the job before. Before each step of the engine the
answer is `null`, and a line is awaited, so that two engines can take turns; after the last it is
what the job took.
"""

import json
import os
import sys
import time
from typing import Any, Final, TextIO

GATEWAY: Final = "0123456789abcdef"
"""Which the ids of the requests name."""


def main() -> None:
    """Serve until the input ends."""
    answers = _own_output()
    from vllm import LLM  # noqa: PLC0415  (what it logs goes elsewhere from here on)

    engine = LLM(**json.loads(sys.stdin.readline())).llm_engine
    _answer(answers, {})
    for line in sys.stdin:
        _answer(answers, _generate(engine, json.loads(line), answers))


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
    while engine.has_unfinished_requests():
        _answer(answers, None)
        sys.stdin.readline()
        step_begun = time.perf_counter()
        done = engine.step()
        steps_s.append(time.perf_counter() - step_begun)
        outputs.update({it.request_id: list(it.outputs[0].token_ids) for it in done})
    return {
        "cpu_s": time.process_time() - cpu_begun,
        "steps_s": steps_s,
        "reads_s": reads,
        "tokens": [outputs[it] for it in sorted(outputs)],
    }


def _time_reads() -> list[float]:
    """Have the plugin's share of each step from here on written to a list, in seconds."""
    from vllm_probe.hooks import Reader  # noqa: PLC0415

    found: list[float] = []
    read = getattr(Reader.read, "__wrapped__", Reader.read)

    def timed(self: Reader, scheduled: Any) -> None:  # noqa: ANN401
        begun = time.perf_counter()
        read(self, scheduled)
        found.append(time.perf_counter() - begun)

    timed.__wrapped__ = read  # type: ignore[attr-defined]
    Reader.read = timed  # type: ignore[method-assign]
    return found


if __name__ == "__main__":
    main()
