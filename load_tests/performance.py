"""What docs/performance.md says of a run: the part between two marks is written anew."""

import argparse
import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from load_tests.processes import BenchError
from load_tests.report import markdown
from load_tests.results import Results
from load_tests.versions import versions

BEGIN: Final = "<!-- measured -->"
END: Final = "<!-- /measured -->"


def write_section(
    document: Path,
    results: Results,
    options: argparse.Namespace,
    load_before: float,
    broken: Sequence[str],
) -> None:
    """Writes the tables, and what they were measured on, between the marks of the document."""
    text = document.read_text()
    if BEGIN not in text or END not in text:
        raise BenchError(f"{document} has no place for figures: {BEGIN} and {END}")
    said = "\n\n".join(
        [_circumstances(options, load_before), markdown(results), _judgement(broken)]
    )
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    document.write_text(f"{before}{BEGIN}\n{said}\n{END}{after}")


def _circumstances(options: argparse.Namespace, load_before: float) -> str:
    load_after = os.getloadavg()[0]
    names = ", ".join(f"{name} {version}" for name, version in versions().items())
    command = (
        f"python -m load_tests.bench_gateway --rounds {options.rounds} "
        f"--seconds {options.seconds:g} --only {','.join((*options.only, *options.also))} "
        f"--figures {','.join(options.figures)}"
    )
    lines = (
        f"When: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"On: {machine()}",
        f"Load average: {load_before:.1f} before, {load_after:.1f} at the end (1 to 2 is our own)",
        f"Versions: {names}",
        f"By: `{command}`",
    )
    return "\n".join(_items(lines))


def _judgement(broken: Sequence[str]) -> str:
    if not broken:
        return "Every budget of `load_tests/budgets.toml` was kept."
    return "\n".join(
        ["Budgets of `load_tests/budgets.toml` that were not kept:", "", *_items(broken)]
    )


def _items(sentences: Sequence[str]) -> list[str]:
    return [f"- {sentence}" for sentence in sentences]


def machine() -> str:
    """Cores, memory and kernel, in words."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    total = re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    memory_gib = int(total[1]) / 2**20 if total else 0
    cpu = model[1] if model else platform.machine()
    cores = len(os.sched_getaffinity(0))
    kernel = platform.release().partition("-")[0]
    return f"{cores} cores of {cpu}, {memory_gib:.0f} GiB, Linux {kernel}"
