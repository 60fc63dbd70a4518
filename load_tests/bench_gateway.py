"""What the gateway costs, beside nginx, Envoy, Portkey's gateway and LiteLLM in the same run.

    python -m load_tests.bench_gateway --quick
    python -m load_tests.bench_gateway --only nginx,envoy --figures json,sse --json peers.json
    python -m load_tests.bench_gateway --write docs/performance.md

Exit code 0, or 1 with --check when a budget of `budgets.toml` is broken, or 2 when it cannot run.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NoReturn

from load_tests.configs import VARIANTS
from load_tests.measure import WARM_UP_S, Client, Reading
from load_tests.performance import write_section
from load_tests.processes import CACHE, FOLDER, BenchError, cores
from load_tests.registry import MAY_FAIL, SYSTEMS
from load_tests.report import table
from load_tests.results import FIGURES, Results
from load_tests.stats import over_budget, read_budgets
from load_tests.systems import Missing, Running, Site, mock
from load_tests.workloads import CPU_WORKLOADS, JSON, MODELS, SSE

DEFAULT: Final = ("nginx", "envoy", "portkey", "litellm", *VARIANTS)
QUICK_ROUNDS: Final = 2
QUICK_S: Final = 1.0
QUICK_FIGURES: Final = ("json", "sse", "first-byte")
BUSY_LOAD_PER_CORE: Final = 0.3


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark and prints its tables; the exit codes are in the module's text."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, _stop)
    _warn_if_busy()
    load_before = os.getloadavg()[0]
    try:
        results = _run(options)
    except BenchError as why:
        print(f"bench_gateway: {why}", file=sys.stderr)
        return 2
    print(table(results))
    broken = over_budget(read_budgets(FOLDER / "budgets.toml"), results.costs())
    if options.json:
        options.json.write_text(json.dumps(results.as_json(), indent=2) + "\n")
    if options.write:
        write_section(options.write, results, options, load_before, broken)
    return _tell(broken) if options.check else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    options = _parser().parse_args(arguments)
    if options.quick:
        options.rounds, options.seconds = QUICK_ROUNDS, QUICK_S
    options.figures = options.figures or (QUICK_FIGURES if options.quick else tuple(FIGURES))
    return options


@dataclass(slots=True)
class Bench:
    """The systems that run, and what was found of them so far."""

    site: Site
    client: Client
    seconds: float
    running: dict[str, Running] = field(default_factory=dict)
    results: Results = field(default_factory=Results)
    fresh: int = 0

    def start(self, names: Sequence[str], stack: ExitStack) -> None:
        """Starts the systems, those that cannot be had here noted as missing."""
        for name in names:
            try:
                self.running[name] = stack.enter_context(SYSTEMS[name](self.site))
            except Missing as why:
                self.results.missing[name] = str(why)
                print(f"bench_gateway: {name} is missing: {why}", file=sys.stderr)

    def warm_up(self) -> None:
        """Lets every system do once what it will be measured at."""
        for system in self.running.values():
            for workload in (JSON, SSE):
                self.client.load(workload, system, WARM_UP_S)

    def round(self, figures: Sequence[str], number: int) -> None:
        """Each figure of every system in turn, so that what is compared is read close together."""
        names = list(self.running)
        turn = number % len(names)  # so that none is always the first
        order = names[turn:] + names[:turn]
        self.results.rounds.append({figure: self._readings(figure, order) for figure in figures})

    def _readings(self, figure: str, order: Sequence[str]) -> dict[str, Reading]:
        readings = {}
        for name in order:
            if (figure, name) in self.results.failed or (figure, name) == ("memory", "direct"):
                continue
            try:
                readings[name] = self._read(figure, self.running[name])
            except BenchError as why:
                if name not in MAY_FAIL:
                    raise
                self.results.failed[figure, name] = str(why)
                print(f"bench_gateway: {why}", file=sys.stderr)
        return {name: readings[name] for name in self.running if name in readings}

    def _read(self, figure: str, system: Running) -> Reading:
        if figure == "memory":
            self.fresh += 1
            folder = self.site.folder / f"fresh-{self.fresh}"
            folder.mkdir()
            return self.client.stream_memory(
                SYSTEMS[system.name](replace(self.site, folder=folder))
            )
        if figure == "first-byte":
            floor = Running("direct", self.site.mock_port, self.site.mock_pid)
            return self.client.added_first_byte(system, floor)
        return self.client.cpu(CPU_WORKLOADS[figure], system, self.seconds)


def _run(options: argparse.Namespace) -> Results:
    """Starts everything, warms it up, and measures the systems in turn, round after round."""
    names = tuple(dict.fromkeys((*options.only, *options.also)))
    system_core, load_core = cores()
    with _site(options.folder, system_core, load_core) as site, ExitStack() as stack:
        bench = Bench(site, Client(site.folder, load_core), options.seconds)
        bench.start(names, stack)
        if not bench.running:
            raise BenchError("there is nothing to measure")
        bench.warm_up()
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            bench.round(options.figures, number)
        return bench.results


@contextmanager
def _site(parent: Path, system_core: int | None, load_core: int | None) -> Iterator[Site]:
    """A folder on disk that goes away at the end, and the mock."""
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=parent) as name:
        folder = Path(name).resolve()
        with mock(folder, load_core) as (port, pid):
            yield Site(folder, port, pid, system_core, MODELS)


def _tell(broken: Sequence[str]) -> int:
    for sentence in broken:
        print(f"bench_gateway: {sentence}", file=sys.stderr)
    return 1 if broken else 0


def _warn_if_busy() -> None:
    load, count = os.getloadavg()[0], os.cpu_count() or 1
    if load > count * BUSY_LOAD_PER_CORE:
        print(
            f"bench_gateway: {load:.1f} processes want the {count} cores already: "
            "expect figures that are too high and far apart",
            file=sys.stderr,
        )


def _stop(*_: object) -> NoReturn:
    raise SystemExit("bench_gateway: told to stop")


def _systems(text: str) -> tuple[str, ...]:
    return _known(text, SYSTEMS)


def _figures(text: str) -> tuple[str, ...]:
    return _known(text, FIGURES)


def _known(text: str, there: Iterable[str]) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(there):
        raise argparse.ArgumentTypeError(
            f"{', '.join(sorted(unknown))}: unknown; there are {', '.join(there)}"
        )
    return names


def _at_least_one(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m load_tests.bench_gateway",
        description="What requests, events and open streams cost, in the gateway and in its peers.",
        epilog="example: python -m load_tests.bench_gateway --only nginx,envoy --rounds 3",
    )
    add = parser.add_argument
    add("--rounds", type=_at_least_one, default=5, help="rounds of all systems (5)")
    add("--seconds", type=float, default=4.0, help="length of each load, in seconds (4)")
    quick = f"{QUICK_ROUNDS} rounds of {', '.join(QUICK_FIGURES)}, loads of {QUICK_S:g} s"
    add("--quick", action="store_true", help=quick)
    known = ", ".join(SYSTEMS)
    add("--only", type=_systems, default=DEFAULT, help=f"systems, by comma, of: {known}")
    add("--also", type=_systems, default=(), help="systems besides, as direct")
    figures = f"what to measure, by comma, of: {', '.join(FIGURES)}"
    add("--figures", type=_figures, default=(), help=figures)
    add("--json", type=Path, help="write every figure of every round to this file")
    add("--write", type=Path, help="write the tables into this document (docs/performance.md)")
    add("--check", action="store_true", help="exit 1 when a budget of budgets.toml is broken")
    add("--folder", type=Path, default=CACHE, help="where journals and logs go: on a disk")
    return parser


if __name__ == "__main__":
    sys.exit(main())
