"""Every test: `python -m scripts.test_all [--coverage] [PYTEST ARGUMENT ...]`.

What reckons and waits for nobody goes first, by two processes at once; what runs servers has the
machine to itself. Where the arguments name files of tests, those alone are run.

The last line printed, also in .cache/tests.txt, is pytest's closing line, with the numbers of both
added up. With --coverage the processes that the tests start are measured too, unless they are
killed, and the report goes to .cache/coverage.txt: that takes half as long again, and makes
everything that is timed slower.
"""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
REPORT: Final = ROOT / ".cache" / "coverage.txt"
SUMMARY: Final = ROOT / ".cache" / "tests.txt"
PYTEST: Final = ("-m", "pytest")
COVERAGE: Final = (sys.executable, "-m", "coverage")
MEASURE: Final = "--coverage"
TOGETHER: Final = ("-n", "2", "tests/unit", "tests/contract")
ALONE: Final = ("tests/deploy", "tests/e2e", "tests/integration")
OUTCOMES: Final = (
    "failed", "errors", "passed", "skipped", "deselected", "xfailed", "xpassed", "warnings",
)  # fmt: skip
PLURALS: Final = {"error": "errors", "warning": "warnings"}
NONE_CHOSEN: Final = 5
"""Pytest's exit code where `-k` or the like left no test."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run pytest, with --coverage report that; return pytest's exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    is_measured = MEASURE in given
    if is_measured:
        given.remove(MEASURE)
        subprocess.run([*COVERAGE, "erase"], cwd=ROOT, check=True)
    runner = (*COVERAGE, "run") if is_measured else (sys.executable,)
    ran = [_shown([*runner, *PYTEST, *paths, *given]) for paths in _stages(given)]
    closing_line = added_up([line for _, line in ran])
    summary = f"{_coverage()}\n{closing_line}\n" if is_measured else f"{closing_line}\n"
    SUMMARY.parent.mkdir(exist_ok=True)
    SUMMARY.write_text(summary, encoding="utf-8")
    print(summary, end="", flush=True)
    return exit_code([code for code, _ in ran])


def _stages(given: Sequence[str]) -> Sequence[Sequence[str]]:
    names_tests = any((ROOT / it.partition("::")[0]).exists() for it in given)
    return [()] if names_tests else [TOGETHER, ALONE]


def exit_code(codes: Sequence[int]) -> int:
    """Return the first that tells of a failure; that no test was chosen does if none was at all."""
    failures = [code for code in codes if code not in {0, NONE_CHOSEN}]
    return failures[0] if failures else min(codes)


def added_up(closing_lines: Sequence[str]) -> str:
    """Return one closing line for several: `== 2 failed, 30 passed in 61.20s (0:01:01) ==`."""
    if len(closing_lines) == 1:
        return closing_lines[0]
    counts: Counter[str] = Counter()
    seconds = 0.0
    for line in closing_lines:
        for number, word in re.findall(r"(\d+) ([a-z]+)", line.partition(" in ")[0]):
            counts[PLURALS.get(word, word)] += int(number)
        seconds += sum(map(float, re.findall(r" in ([\d.]+)s", line)))
    told = ", ".join(f"{counts[it]} {it}" for it in OUTCOMES if counts[it])
    return f"=== {told or 'no tests ran'} in {seconds:.2f}s ({timedelta(seconds=int(seconds))}) ==="


def _shown(command: Sequence[str]) -> tuple[int, str]:
    """Return a command's exit code and its last line, having shown all of them."""
    last = ""
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as pytest:
        for line in pytest.stdout or ():
            print(line, end="", flush=True)
            last = line.strip() or last
    return pytest.returncode, last


def _coverage() -> str:
    """Combine what was measured, write the report, and return its total in words."""
    subprocess.run([*COVERAGE, "combine", "--quiet"], cwd=ROOT, check=False)
    done = subprocess.run(
        [*COVERAGE, "report"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    REPORT.write_text(done.stdout + done.stderr, encoding="utf-8")
    total = next((line for line in done.stdout.splitlines() if line.startswith("TOTAL")), "")
    share = total.split()[-1] if total else "not known"
    where = REPORT.relative_to(ROOT)
    return f"coverage of service and detectors, lines and branches: {share} ({where})"


if __name__ == "__main__":
    sys.exit(main())
