"""Pins the packages: `make lock` writes main.txt, dev.txt and others in requirements/, with hashes.

Versions that are pinned stay, unless pyproject.toml or dev.in ask for others; to move one on, run
`make lock ARGS="--upgrade-package NAME"`. vLLM's own files come from requirements/lock_vllm.py.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
SOURCES: Final = {
    "main": "pyproject.toml",
    "dev": "requirements/dev.in",
    "image": "requirements/image.in",  # what builds the image, see Dockerfile
    "locust": "requirements/locust.in",  # an environment of its own, for `make load`
    "litellm": "requirements/litellm.in",  # the same, for `make bench`
}
OPTIONS: Final = (
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--allow-unsafe",
    "--strip-extras",
    "--no-header",
    "--quiet",
)


def main() -> int:
    """Pin main first, which dev.in is constrained by, and dev, which image.in is."""
    for name, source in SOURCES.items():
        target = ROOT / "requirements" / f"{name}.txt"
        command = [sys.executable, "-m", "piptools", "compile", *OPTIONS, *sys.argv[1:]]
        done = subprocess.run([*command, "-o", str(target), source], cwd=ROOT, check=False)
        if done.returncode:
            return done.returncode
        head = f"# Made from {source} by `make lock`: change that, not this file.\n"
        target.write_text(head + target.read_text(encoding="utf-8"), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
