"""What metrics and traces cost the gateway, beside one that counts and traces nothing.

    python -m load_tests.bench_telemetry --rounds 30 --seconds 1
    python -m load_tests.bench_telemetry --check --write docs/performance.md

All variants run at once before the same mock and are loaded in turn, in many short rounds: a ratio
is taken within each round, so that a machine that is slower for a while slows both sides of it.
Exit code 0, or 1 with --check when telemetry at the default ratio takes more than its budget, or 2
when it cannot run.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from load_tests.configs import VARIANTS, watchgate_config
from load_tests.measure import WARM_UP_S, Client
from load_tests.processes import (
    CACHE,
    ROOT,
    BenchError,
    answers_200,
    child,
    cores,
    free_port,
    wait_until,
)
from load_tests.receiver import receiving
from load_tests.stats import Interval, paired_ratios
from load_tests.systems import OPS_PROCESSES, WATCHGATE_START_S, Running, mock
from load_tests.workloads import JSON, MODELS, SSE

OFF: Final = "off"
BUDGET: Final = 1.10
"""What a gateway with telemetry at the default ratio may take, of one without."""
BEGIN: Final = "<!-- telemetry -->"
END: Final = "<!-- /telemetry -->"


@dataclass(frozen=True, slots=True)
class Variant:
    """A gateway: the module that is its command, and whether and by what sampler it traces."""

    title: str
    module: str = "service.cli"
    traces: bool = False
    sampler: str = ""


VARIANTS_OF: Final[Mapping[str, Variant]] = {
    OFF: Variant("nothing counted, nothing traced", module="load_tests.untold"),
    "metrics": Variant("metrics"),
    "default": Variant("metrics, traces of the default 1 %", traces=True),
    "all": Variant("metrics, traces of all", traces=True, sampler="parentbased_always_on"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, and print what it found."""
    options = _parser().parse_args(arguments)
    load_before = os.getloadavg()[0]
    try:
        found = _run(options)
    except BenchError as why:
        print(f"bench_telemetry: {why}", file=sys.stderr)
        return 2
    said = report(found, load_before)
    print(said)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    if options.write:
        write(options.write, said)
    return judge(found) if options.check else 0


def report(found: Mapping[str, Mapping[str, Sequence[float]]], load_before: float) -> str:
    """Return the tables, in Markdown: workload → variant → CPU-µs in each round."""
    chance, parts = random.Random(0), []  # noqa: S311  (the same figures give the same interval)
    for workload, costs in found.items():
        what = "SSE event, 100 streams" if workload == SSE.name else "JSON request, 1.5 KiB"
        lines = [
            f"| CPU-µs per {what} | median | ratio to `off` (95 % interval) |",
            "|---|---|---|",
        ]
        for name, values in costs.items():
            cells = f"{statistics.median(values):,.1f}"
            ratio = Interval.of(paired_ratios(values, costs[OFF]), chance)
            told = "" if name == OFF else str(ratio)
            lines.append(f"| `{name}`: {VARIANTS_OF[name].title} | {cells} | {told} |")
        parts.append("\n".join(lines))
    rounds = len(next(iter(found.values()))[OFF])
    load = f"{load_before:.1f} before, {os.getloadavg()[0]:.1f} at the end"
    return "\n\n".join([*parts, f"{rounds} rounds; load average {load} (1 to 2 is our own)."])


def judge(found: Mapping[str, Mapping[str, Sequence[float]]]) -> int:
    """Return the exit code: 1 when telemetry at the default ratio is over its budget."""
    costs = found[JSON.name]
    ratio = statistics.median(paired_ratios(costs["default"], costs[OFF]))
    if ratio <= BUDGET:
        return 0
    print(
        f"bench_telemetry: telemetry takes {ratio:.3f} times {OFF}, the budget is {BUDGET}",
        file=sys.stderr,
    )
    return 1


def _run(options: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    system_core, load_core = cores()
    options.folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="telemetry-", dir=options.folder) as name,
        ExitStack() as stack,
    ):
        folder = Path(name).resolve()
        port, _ = stack.enter_context(mock(folder, load_core))
        endpoint = stack.enter_context(receiving(folder / "receiver.log", load_core))
        running = {
            it: stack.enter_context(_gateway(it, folder, port, endpoint, system_core))
            for it in VARIANTS_OF
        }
        client = Client(folder, load_core)
        for system in running.values():
            client.load(JSON, system, WARM_UP_S)
        return _measure(client, running, options)


def _measure(
    client: Client, running: Mapping[str, Running], options: argparse.Namespace
) -> dict[str, dict[str, list[float]]]:
    """Load the variants in turn, in another order each round."""
    workloads = {it.name: it for it in (JSON, SSE) if it.name in options.figures}
    found: dict[str, dict[str, list[float]]] = {
        name: {it: [] for it in running} for name in workloads
    }
    chance = random.Random(time.time_ns())  # noqa: S311  (only an order)
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        for name, workload in workloads.items():
            for it in chance.sample([*running], len(running)):
                reading = client.cpu(workload, running[it], options.seconds)
                found[name][it].append(reading.value)
    return found


@contextmanager
def _gateway(
    name: str, parent: Path, mock_port: int, endpoint: str, core: int | None
) -> Iterator[Running]:
    """A gateway alone, before the mock; its models are of tier 0, which needs no worker."""
    variant, folder = VARIANTS_OF[name], parent / name
    folder.mkdir()
    ports = {it: free_port() for it in ("gateway", "console", "ops")}
    ports |= {f"ops.{it}": free_port() for it in OPS_PROCESSES}
    config = folder / "watchgate.yaml"
    config.write_text(
        watchgate_config(
            VARIANTS["watchgate-off"],
            ports=ports,
            upstream_port=mock_port,
            models=MODELS,
            folder=folder,
        )
    )
    key = _new_key(config)
    assigned = [f"OTEL_EXPORTER_OTLP_ENDPOINT={endpoint if variant.traces else ''}"]
    assigned += [f"OTEL_TRACES_SAMPLER={variant.sampler}"]
    command = [
        "env",
        *assigned,
        sys.executable,
        "-m",
        variant.module,
        "gateway",
        "--config",
        config,
    ]
    log, ready = parent / f"{name}.log", f"http://127.0.0.1:{ports['ops.gateway']}/ready"
    with child(command, log=log, core=core) as process:
        wait_until(lambda: answers_200(ready), process, log, limit_s=WATCHGATE_START_S)
        yield Running(name, ports["gateway"], process.pid, key)


def _new_key(config: Path) -> str:
    command = [sys.executable, "-m", "service.cli", "keys", "create", "--project", "bench"]
    done = subprocess.run(
        [*command, "--json", "--config", config],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if done.returncode:
        raise BenchError(f"watchgate keys create failed:\n{done.stderr[-2000:]}")
    key: str = json.loads(done.stdout)["key"]
    return key


def write(document: Path, said: str) -> None:
    """Write the tables between the marks of a document.

    Raises:
        BenchError: it has none.
    """
    text = document.read_text()
    if BEGIN not in text or END not in text:
        raise BenchError(f"{document} has no place for figures: {BEGIN} and {END}")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    document.write_text(f"{before}{BEGIN}\n{said}\n{END}{after}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m load_tests.bench_telemetry",
        description="What metrics and traces cost the gateway, in CPU per request.",
        epilog="example: python -m load_tests.bench_telemetry --rounds 30 --seconds 1",
    )
    add = parser.add_argument
    add("--rounds", type=int, default=30, help="rounds of all variants (30)")
    add("--seconds", type=float, default=1.0, help="length of each load, in seconds (1)")
    add(
        "--figures", type=lambda text: text.split(","), default=[JSON.name], help="json, sse (json)"
    )
    add("--json", type=Path, help="write every figure of every round to this file")
    add("--write", type=Path, help="write the tables into this document (docs/performance.md)")
    add("--check", action="store_true", help="exit 1 when telemetry is over its budget")
    add("--folder", type=Path, default=CACHE, help="where journals and logs go: on a disk")
    return parser


if __name__ == "__main__":
    sys.exit(main())
