"""Every test: `python -m scripts.test_all [--coverage] [PYTEST ARGUMENT ...]`.

The last line printed, also in .cache/tests.txt, is pytest's closing line. With --coverage the
processes that the tests start are measured too, unless they are killed, and the report goes to
.cache/coverage.txt: that takes half as long again, and makes everything that is timed slower.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
REPORT: Final = ROOT / ".cache" / "coverage.txt"
SUMMARY: Final = ROOT / ".cache" / "tests.txt"
PYTEST: Final = ("-m", "pytest")
COVERAGE: Final = (sys.executable, "-m", "coverage")
MEASURE: Final = "--coverage"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run pytest, with --coverage report that; return pytest's exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    is_measured = MEASURE in given
    if is_measured:
        given.remove(MEASURE)
        subprocess.run([*COVERAGE, "erase"], cwd=ROOT, check=True)
    runner = (*COVERAGE, "run") if is_measured else (sys.executable,)
    code, closing_line = _shown([*runner, *PYTEST, *given])
    summary = f"{_coverage()}\n{closing_line}\n" if is_measured else f"{closing_line}\n"
    SUMMARY.parent.mkdir(exist_ok=True)
    SUMMARY.write_text(summary, encoding="utf-8")
    print(summary, end="", flush=True)
    return code


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
