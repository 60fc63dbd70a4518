"""The image's bill of materials: `python -m scripts.sbom [FILE]`, CycloneDX as JSON.

It holds what requirements/main.txt pins, with hashes, under Watchgate itself; the image installs
just that. Debian's packages of the base image are not in it.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
TARGET: Final = ROOT / ".cache" / "sbom.cdx.json"
_COMMAND: Final = (
    *("-m", "cyclonedx_py", "requirements", "--pyproject", "pyproject.toml"),
    *("--output-reproducible", "--output-format", "JSON"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write it to the file; return 0, or the code of the tool that makes it."""
    given = sys.argv[1:] if arguments is None else arguments
    target = Path(given[0]).absolute() if given else TARGET
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, *_COMMAND, "--output-file", str(target), "requirements/main.txt"]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code == 0:
        print(f"{target}: written")
    return code


if __name__ == "__main__":
    sys.exit(main())
