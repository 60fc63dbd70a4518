"""What the plugin with the shipped probes costs a vLLM, beside one without it.

    python -m load_tests.bench_probes --pairs 30
    python -m load_tests.bench_probes --check

Two engines are up side by side on the CPU and do the same jobs by turns, a step each, in an order
that alternates; one is idle while the other takes its step. A ratio is taken within each pair of
jobs, for latency within each pair of steps: a machine that is slower for a while slows both.
Then the engine with the plugin is asked which part of its steps the plugin takes: that hardly
depends on what else the machine does. Exit code 0, or 1 with --check when tokens differ or a cost
is for certain above its budget, or 2 when it cannot run.
"""

import argparse
import json
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

from load_tests.engines import PLAIN, PROBED, Done, Engine, Gateway, Job, by_turns, engines
from load_tests.performance import machine
from load_tests.processes import BenchError
from load_tests.stats import Interval, paired_ratios
from load_tests.words_of import words

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
    """Something that is measured of a job, once or of each of its steps."""

    title: str
    values: Callable[[Done], Sequence[float]]
    is_cost: bool = True


FIGURES: Final = (
    Figure("seconds a job", lambda done: [done.seconds]),
    Figure("CPU seconds a job", lambda done: [done.cpu_s]),
    Figure("ms a token (inter-token latency)", lambda done: [it * 1e3 for it in _decoding(done)]),
    Figure("tokens a second", lambda done: [_count(done) / done.seconds], is_cost=False),
)


@dataclass(frozen=True, slots=True)
class Found:
    """All that was measured.

    Attributes:
        jobs: by the engine's name, one for each pair.
        steps: by what is computed in them, (seconds of the plugin, seconds) of each step.
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

    def values(self, figure: Figure, engine: str) -> list[float]:
        """Return a figure of all jobs of an engine."""
        return [value for it in self.jobs[engine] for value in figure.values(it)]

    def ratio(self, figure: Figure) -> Interval:
        """Return what the figure is with the plugin, as a multiple of it without."""
        ratios = paired_ratios(self.values(figure, PROBED), self.values(figure, PLAIN))
        return Interval.of(ratios, random.Random(0))  # noqa: S311  (the same each time)

    def share(self, kind: str) -> Interval:
        """Return which part of such steps is the plugin's."""
        shares = [read / step for read, step in self.steps[kind]]
        return Interval.of(shares, random.Random(0))  # noqa: S311


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, and print what it found."""
    options = _parser().parse_args(arguments)
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
    pairs = len(found.jobs[PLAIN])
    same = f"{found.prompts - found.different} of {found.prompts} answers have the same tokens"
    said = f"{pairs} pairs; {same}. On {machine()}; load average {load} (1 to 2 is our own)."
    parts = [_costs(found)] if pairs else []
    parts += [_shares(found)] if found.steps else []
    return "\n\n".join([*parts, said])


def _costs(found: Found) -> str:
    lines = ["| median | without | with | ratio (95 % interval) |", "|---|---|---|---|"]
    for it in FIGURES:
        without, with_ = (statistics.median(found.values(it, name)) for name in (PLAIN, PROBED))
        lines.append(f"| {it.title} | {without:,.2f} | {with_:,.2f} | {found.ratio(it)} |")
    return "\n".join(lines)


def _shares(found: Found) -> str:
    lines = [
        "| a step | the plugin, µs | the step, ms | share, % (95 % interval) |",
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
        jobs = _pairs(running, options)
        steps = dict(_timed(running[PROBED], options.steps)) if options.steps else {}
        _check_told(gateway, jobs[PROBED])
    return Found(jobs, steps)


def _pairs(running: Mapping[str, Engine], options: argparse.Namespace) -> dict[str, list[Done]]:
    found: dict[str, list[Done]] = {name: [] for name in running}
    for number in range(options.pairs + 1):
        print(f"pair {number} of {options.pairs}" if number else "warm-up", file=sys.stderr)
        job = _job(number, options.tokens)
        order = [*running] if number % 2 else [*running][::-1]
        for name, done in by_turns(running, job, order).items():
            if number:
                found[name].append(done)
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
        taken = list(zip(done.reads_s, done.steps_s, strict=True))
        yield f"a token for each of {count} requests", taken[1:]
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
    """See that the probes were at work; of the last job the end is told with the next step."""
    asked = sum(len(it.tokens) for it in jobs[:-1])
    if len(gateway.answers) < asked:
        raise BenchError(
            f"the plugin told of {len(gateway.answers)} of {asked} answers: is it armed?"
        )


def _decoding(done: Done) -> Sequence[float]:
    """Return the seconds of the steps that follow the last which read a prompt."""
    return done.steps_s[1 - len(done.tokens[0]) :]


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
        epilog="example: python -m load_tests.bench_probes --pairs 30 --steps 300",
    )
    add = parser.add_argument
    add("--pairs", type=int, default=20, help="jobs of each engine (20)")
    add("--tokens", type=int, default=32, help="that each of a job's 16 prompts gets (32)")
    add("--steps", type=int, default=200, help="to time the plugin in, of each kind (200); or 0")
    add("--json", type=Path, help="write every figure of every job to this file")
    add("--check", action="store_true", help="exit 1 when tokens differ, or a budget is broken")
    return parser


if __name__ == "__main__":
    sys.exit(main())
