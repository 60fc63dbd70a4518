"""CPU time of the gateway per request and per event, beside nginx and Envoy in the same run.

    python -m load_tests.bench_gateway --rounds 5 --seconds 4
    python -m load_tests.bench_gateway --only nginx,envoy --json peers.json

Exit code 0, or 1 with --check when a budget of `budgets.toml` is broken, or 2 when it cannot run.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NoReturn

from load_tests.measure import PROBE_MODEL, STREAM_MODEL, Client, Round, SystemRound
from load_tests.processes import CACHE, FOLDER, BenchError, cores
from load_tests.report import as_json, costs, table
from load_tests.stats import over_budget, read_budgets
from load_tests.systems import SYSTEMS, Running, Site, mock

DEFAULT: Final = ("nginx", "envoy", "watchgate")
WARM_UP_S: Final = 0.5
BUSY_LOAD_PER_CORE: Final = 0.3


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark and prints its table; the exit codes are in the module's text."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)
    _warn_if_busy()
    try:
        rounds = _run(options)
    except BenchError as why:
        print(f"bench_gateway: {why}", file=sys.stderr)
        return 2
    print(table(rounds))
    if options.json:
        options.json.write_text(json.dumps(as_json(rounds), indent=2) + "\n")
    return _check(rounds) if options.check else 0


def _run(options: argparse.Namespace) -> list[Round]:
    """Starts everything, warms it up, and measures the systems in turn, round after round."""
    names = tuple(dict.fromkeys((*options.only, *options.also)))
    system_core, load_core = cores()
    with _site(options.folder, system_core, load_core) as site, ExitStack() as stack:
        systems = [stack.enter_context(SYSTEMS[name](site)) for name in names]
        client = Client(site.folder, load_core)
        _round(client, site, systems, WARM_UP_S)
        rounds = []
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            turn = number % len(systems)  # so that none is always the first
            order = systems[turn:] + systems[:turn]
            rounds.append(_round(client, site, order, options.seconds))
        return rounds


def _round(client: Client, site: Site, systems: Sequence[Running], seconds: float) -> Round:
    """Each load on every system in turn, so that what is compared is measured close together."""
    answers = {system.name: client.measure("json", system, seconds) for system in systems}
    streams = {system.name: client.measure("sse", system, seconds) for system in systems}
    floor_us = client.first_byte_us(Running("direct", site.mock_port, site.mock_pid))
    return {
        system.name: SystemRound(
            json=answers[system.name],
            sse=streams[system.name],
            added_first_byte_us=client.first_byte_us(system) - floor_us,
        )
        for system in systems
    }


@contextmanager
def _site(parent: Path, system_core: int | None, load_core: int | None) -> Iterator[Site]:
    """A folder on disk that goes away at the end, and the mock."""
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=parent) as name:
        folder = Path(name).resolve()
        with mock(folder, load_core) as (port, pid):
            yield Site(folder, port, pid, system_core, (STREAM_MODEL, PROBE_MODEL))


def _check(rounds: Sequence[Round]) -> int:
    broken = over_budget(read_budgets(FOLDER / "budgets.toml"), costs(rounds))
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
    names = tuple(text.split(","))
    if unknown := set(names) - SYSTEMS.keys():
        raise argparse.ArgumentTypeError(
            f"{', '.join(sorted(unknown))}: unknown; there are {', '.join(SYSTEMS)}"
        )
    return names


def _at_least_one(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m load_tests.bench_gateway",
        description="CPU time per request and per event, of the gateway and of its peers.",
        epilog="example: python -m load_tests.bench_gateway --only nginx,envoy --rounds 3",
    )
    known = ", ".join(SYSTEMS)
    add = parser.add_argument
    add("--rounds", type=_at_least_one, default=5, help="rounds of all systems (5)")
    add("--seconds", type=float, default=4.0, help="length of each load, in seconds (4)")
    add("--only", type=_systems, default=DEFAULT, help=f"systems, by comma, of: {known}")
    add("--with", type=_systems, default=(), dest="also", help="systems besides, as direct")
    add("--json", type=Path, help="write every figure of every round to this file")
    add("--check", action="store_true", help="exit 1 when a budget of budgets.toml is broken")
    add("--folder", type=Path, default=CACHE, help="where journals and logs go: on a disk")
    return parser


if __name__ == "__main__":
    sys.exit(main())
