"""Every test, with coverage: `python -m scripts.test_all [PYTEST ARGUMENT ...]`.

Processes that the tests start are measured too, unless they are killed. The report goes to
.cache/coverage.txt; the last line printed, also in .cache/tests.txt, is pytest's closing line.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
REPORT: Final = ROOT / ".cache" / "coverage.txt"
SUMMARY: Final = ROOT / ".cache" / "tests.txt"
COVERAGE: Final = (sys.executable, "-m", "coverage")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run pytest, report the coverage; return pytest's exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    subprocess.run([*COVERAGE, "erase"], cwd=ROOT, check=True)
    code, closing_line = _pytest(given)
    summary = f"{_coverage()}\n{closing_line}\n"
    SUMMARY.write_text(summary, encoding="utf-8")
    print(summary, end="", flush=True)
    return code


def _pytest(arguments: Sequence[str]) -> tuple[int, str]:
    """Return pytest's exit code and its last line, having shown all of them."""
    command = [*COVERAGE, "run", "-m", "pytest", *arguments]
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
    return f"coverage of service and detectors, lines and branches: {share} ({_shown(REPORT)})"


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


if __name__ == "__main__":
    sys.exit(main())
