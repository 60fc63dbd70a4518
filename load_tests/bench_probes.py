"""What the plugin with the shipped probes costs a vLLM.

    python -m load_tests.bench_probes --rounds 15
    python -m load_tests.bench_probes --check

Two engines are up side by side on the CPU and do the same jobs by turns, a step each, in an order
that alternates; one is idle while the other takes its step. In one of them the plugin is on, and in
the other one in the round's second job: so a ratio is taken within each pair of jobs, which a
machine that is slower for a while does not change, and then of both jobs' ratios the geometric
mean, which does not change with an engine that is slower for good. (Of two starts of the same
engine one was 3 % slower than the other, in every step.)

Then an engine is asked which part of its steps the plugin takes: that hardly depends on what else
the machine does. The plugin reads several steps together, so figures of steps are of so many.
Exit code 0, or 1 with --check when tokens differ or a cost is for certain above its budget, or 2
when it cannot run.
"""

import argparse
import json
import math
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from load_tests.engines import Done, Engine, Gateway, Job, by_turns, engines
from load_tests.performance import machine
from load_tests.processes import BenchError
from load_tests.stats import Interval, paired_ratios
from load_tests.words_of import words
from vllm_probe.watch import EVERY_STEPS

PLAIN: Final = "without"
PROBED: Final = "with"
BUDGET: Final = 1.01
"""What a job may take with the plugin, of what it takes without; a hundredth of a step, too."""
CHECKED_PROMPTS: Final = 100
"""A check compares the answers to at least so many."""
PROMPT_WORDS: Final = range(2, 50, 3)
"""Of the 16 prompts of a job."""
PREFILL_TOKENS: Final = 512
_TOKEN_IDS: Final = (1_000, 40_000)
_PREFILLS_PER_STEP: Final = 0.1


@dataclass(frozen=True, slots=True)
class Figure:
    """Something that is measured of a job."""

    title: str
    of: Callable[[Done], float]
    is_cost: bool = True


FIGURES: Final = (
    Figure("seconds a job", lambda done: done.seconds),
    Figure("CPU seconds a job", lambda done: done.cpu_s),
    Figure("ms a token (inter-token latency)", lambda done: _latency_s(done) * 1e3),
    Figure("tokens a second", lambda done: _count(done) / done.seconds, is_cost=False),
)


@dataclass(frozen=True, slots=True)
class Found:
    """All that was measured.

    Attributes:
        jobs: without the plugin and with it, two for each round.
        steps: by what is computed in them, (seconds of the plugin, seconds) of each step, or of
            each so many in a row.
    """

    jobs: Mapping[str, Sequence[Done]]
    steps: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)

    @property
    def prompts(self) -> int:
        """How many were answered by both."""
        return sum(len(it.tokens) for it in self.jobs[PLAIN])

    @property
    def different(self) -> int:
        """How many of them were answered in other tokens."""
        pairs = zip(self.jobs[PLAIN], self.jobs[PROBED], strict=True)
        return sum(
            one != other
            for plain, probed in pairs
            for one, other in zip(plain.tokens, probed.tokens, strict=True)
        )

    def values(self, figure: Figure, how: str) -> list[float]:
        """Return a figure of all jobs without the plugin, or with it."""
        return [figure.of(it) for it in self.jobs[how]]

    def ratio(self, figure: Figure) -> Interval:
        """Return what the figure is with the plugin, as a multiple of it without."""
        ratios = paired_ratios(self.values(figure, PROBED), self.values(figure, PLAIN))
        rounds = [math.sqrt(a * b) for a, b in zip(ratios[::2], ratios[1::2], strict=True)]
        return Interval.of(rounds, random.Random(0))  # noqa: S311  (the same each time)

    def share(self, kind: str) -> Interval:
        """Return which part of such steps is the plugin's."""
        shares = [read / step for read, step in self.steps[kind]]
        return Interval.of(shares, random.Random(0))  # noqa: S311


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, and print what it found."""
    options = _parser().parse_args(arguments)
    options.tokens = max(options.tokens, EVERY_STEPS + 1)
    options.steps = options.steps and max(options.steps, EVERY_STEPS)
    load_before = os.getloadavg()[0]
    try:
        found = _run(options)
    except BenchError as why:
        print(f"bench_probes: {why}", file=sys.stderr)
        return 2
    print(report(found, load_before))
    if options.json:
        options.json.write_text(json.dumps(_plain(found), indent=2) + "\n")
    broken = judge(found) if options.check else []
    for sentence in broken:
        print(f"bench_probes: {sentence}", file=sys.stderr)
    return 1 if broken else 0


def report(found: Found, load_before: float) -> str:
    """Return the tables, in Markdown, and what they were measured on."""
    load = f"{load_before:.1f} before, {os.getloadavg()[0]:.1f} at the end"
    rounds = len(found.jobs[PLAIN]) // 2
    same = f"{found.prompts - found.different} of {found.prompts} answers have the same tokens"
    said = f"{rounds} rounds; {same}. On {machine()}; load average {load} (1 to 2 is our own)."
    parts = [_costs(found)] if rounds else []
    parts += [_shares(found)] if found.steps else []
    return "\n\n".join([*parts, said])


def _costs(found: Found) -> str:
    lines = ["| median | without | with | ratio (95 % interval) |", "|---|---|---|---|"]
    for it in FIGURES:
        without, with_ = (statistics.median(found.values(it, how)) for how in (PLAIN, PROBED))
        lines.append(f"| {it.title} | {without:,.2f} | {with_:,.2f} | {found.ratio(it)} |")
    return "\n".join(lines)


def _shares(found: Found) -> str:
    lines = [
        "| mean of a step | the plugin, µs | the step, ms | share, % (95 % interval) |",
        "|---|---|---|---|",
    ]
    for kind, steps in found.steps.items():
        read, step = (statistics.median(it) for it in zip(*steps, strict=True))
        low, median, high = (it * 100 for it in _bounds(found.share(kind)))
        share = f"{median:.2f} ({low:.2f} to {high:.2f})"
        lines.append(f"| {kind} | {read * 1e6:,.0f} | {step * 1e3:,.1f} | {share} |")
    return "\n".join(lines)


def _bounds(interval: Interval) -> tuple[float, float, float]:
    return interval.low, interval.median, interval.high


def judge(found: Found) -> list[str]:
    """Return a sentence for all that is not as it should be, or that could not be judged."""
    broken = []
    if found.prompts < CHECKED_PROMPTS:
        broken.append(f"{found.prompts} prompts are too few: compare {CHECKED_PROMPTS} at least")
    if found.different:
        broken.append(f"{found.different} of {found.prompts} answers have other tokens")
    ratios = {it.title: found.ratio(it) for it in FIGURES if it.is_cost and found.prompts}
    shares = {kind: found.share(kind) for kind in found.steps}
    broken += [
        f"{title}: {ratio} times those without, the budget is {BUDGET}"
        for title, ratio in ratios.items()
        if ratio.low > BUDGET
    ]
    broken += [
        f"{kind}: the plugin takes {share} of the step"
        for kind, share in shares.items()
        if share.low > BUDGET - 1
    ]
    return broken


def _run(options: argparse.Namespace) -> Found:
    with (
        tempfile.TemporaryDirectory(prefix="probes-") as folder,  # short: it holds a socket
        engines(Path(folder)) as (running, gateway),
    ):
        jobs = _rounds(running, options)
        steps = dict(_timed(running[0], options.steps)) if options.steps else {}
        _check_told(gateway, jobs[PROBED])
    return Found(jobs, steps)


def _rounds(running: Sequence[Engine], options: argparse.Namespace) -> dict[str, list[Done]]:
    found: dict[str, list[Done]] = {PLAIN: [], PROBED: []}
    for number in range(options.rounds + 1):
        print(f"round {number} of {options.rounds}" if number else "warm-up", file=sys.stderr)
        for turn, order in enumerate((running, running[::-1])):
            job = _job(2 * number + turn, options.tokens)
            plain = msgspec.structs.replace(job, probed=False)
            both = [(PLAIN, (order[0], plain)), (PROBED, (order[1], job))]
            hows, jobs = zip(*(both if number % 2 else both[::-1]), strict=True)  # who begins
            for how, done in zip(hows, by_turns(jobs), strict=True):
                if number:
                    found[how].append(done)
    return found


def _job(number: int, tokens: int) -> Job:
    chance = random.Random(number)  # noqa: S311  (the same texts in every run)
    prompts = tuple(words(chance, count) for count in PROMPT_WORDS)
    return Job(prompts, tokens, first=number * len(prompts))


def _timed(engine: Engine, steps: int) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """Yield what of its steps the plugin takes, kind by kind."""
    first = 1 << 24
    for count in (1, len(PROMPT_WORDS)):
        prompts = _job(-count, 0).prompts[:count]
        done = engine.do(Job(prompts, steps + 1, first, times_plugin=True))
        taken = zip(_means(done.reads_s, steps), _means(done.steps_s, steps), strict=True)
        yield f"a token for each of {count} requests", list(taken)
        first += count
    yield (
        f"a prompt of {PREFILL_TOKENS} tokens",
        [_prefill(engine, first + number) for number in range(round(steps * _PREFILLS_PER_STEP))],
    )


def _prefill(engine: Engine, number: int) -> tuple[float, float]:
    chance = random.Random(number)  # noqa: S311
    ids = [chance.randrange(*_TOKEN_IDS) for _ in range(PREFILL_TOKENS)]
    done = engine.do(Job(({"prompt_token_ids": ids},), 1, number, times_plugin=True))
    return done.reads_s[0], done.steps_s[0]


def _check_told(gateway: Gateway, jobs: Sequence[Done]) -> None:
    """See that the probes read all of each job; the last token is never computed."""
    told = [
        gateway.read.get(number) == len(tokens) - 1
        for job in jobs
        for number, tokens in enumerate(job.tokens, job.first)
    ]
    if not all(told):
        raise BenchError(f"the plugin told of {sum(told)} of {len(told)} answers: is it armed?")


def _latency_s(done: Done) -> float:
    """Return the mean of the steps in which answers grew."""
    return statistics.fmean(_means(done.steps_s, len(done.tokens[0]) - 1))


def _means(seconds: Sequence[float], count: int) -> list[float]:
    """Return the means of each EVERY_STEPS of `count` steps, but for some at the beginning.

    The plugin reads so many together, so the mean of as many in a row has its whole cost once.
    They are the last but one: in that the engine learns that the requests have ended.
    """
    last = seconds[-1 - count // EVERY_STEPS * EVERY_STEPS : -1]
    return [statistics.fmean(last[i : i + EVERY_STEPS]) for i in range(0, len(last), EVERY_STEPS)]


def _count(done: Done) -> int:
    return sum(map(len, done.tokens))


def _plain(found: Found) -> dict[str, Any]:
    ratios = {it.title: _bounds(found.ratio(it)) for it in FIGURES if found.prompts}
    shares = {kind: _bounds(found.share(kind)) for kind in found.steps}
    return {
        "machine": machine(),
        "prompts": found.prompts,
        "different": found.different,
        "ratios": ratios,
        "shares": shares,
        "jobs": msgspec.to_builtins(found.jobs),
        "steps": found.steps,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m load_tests.bench_probes",
        description="What the plugin with the shipped probes costs a vLLM on the CPU.",
        epilog="example: python -m load_tests.bench_probes --rounds 15 --steps 320",
    )
    add = parser.add_argument
    add("--rounds", type=int, default=10, help="of two jobs of each engine (10)")
    add("--tokens", type=int, default=41, help="of each of a job's 16 answers (41; 9 at least)")
    add("--steps", type=int, default=200, help="to time the plugin in (200; 8 at least, or 0)")
    add("--json", type=Path, help="write every figure of every job to this file")
    add("--check", action="store_true", help="exit 1 when tokens differ, or a budget is broken")
    return parser


if __name__ == "__main__":
    sys.exit(main())
