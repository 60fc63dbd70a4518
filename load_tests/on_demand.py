"""Packages of others, each set in a folder of its own under .cache, installed when first asked for.

They are pinned with hashes: requirements/*.txt for pip, package-lock.json for npm.
"""

import re
import shutil
import sys
from pathlib import Path
from typing import Final

from load_tests.processes import CACHE, ROOT
from service.errors import WatchgateError
from service.vllm.home import digest_of, is_stamped, only_one
from service.vllm.install import counting
from service.vllm.steps import run_step

STAMP: Final = "stamp"
NODE_OLDEST: Final = 20


class NotInstallableError(RuntimeError):
    """What was asked for cannot be had here; the text says why, in one line."""


def python_environment(name: str) -> Path:
    """The `bin` folder of an environment that holds what requirements/NAME.txt pins.

    Raises:
        NotInstallableError: pip failed.
    """
    lock, folder = ROOT / "requirements" / f"{name}.txt", CACHE / name
    total = len(re.findall(r"^[\w.-]+==", lock.read_text(), re.MULTILINE))
    # --without-pip: Debian keeps what `venv` needs for a pip in a package of its own
    make = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
    python = str(folder / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    install = [*pip, "install", "--require-hashes", "--progress-bar", "off", "-r", str(lock)]
    title = f"installing {name}, {total} packages"
    _ensure(folder, digest_of(lock, sys.version), (("", make), (title, install)), total)
    return folder / "bin"


def node_environment(source: Path) -> Path:
    """The `node_modules` folder of what `source`/package-lock.json pins; no install script runs.

    Raises:
        NotInstallableError: there is no npm, or it failed.
    """
    for program in ("node", "npm"):
        if not shutil.which(program):
            raise NotInstallableError(f"this machine has no {program} (Node.js {NODE_OLDEST})")
    folder = CACHE / source.name
    files = [source / "package.json", source / "package-lock.json"]
    copy = ["cp", *map(str, files), str(folder)]
    options = ["--ignore-scripts", "--no-audit", "--no-fund"]
    install = ["npm", "ci", "--prefix", str(folder), *options]
    _ensure(folder, digest_of(*files), (("", copy), (f"installing {source.name}", install)), 0)
    return folder / "node_modules"


def _ensure(
    folder: Path, digest: str, steps: tuple[tuple[str, list[str]], ...], total: int
) -> None:
    """Runs the steps that fill the folder, unless they were run for this digest."""
    with only_one(CACHE / f"{folder.name}.lock", _say):
        if is_stamped(folder / STAMP, digest):
            return
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            for title, command in steps:
                run_step(title or f"preparing {folder.name}", command, _say, counting(total))
        except (WatchgateError, OSError) as why:
            raise NotInstallableError(str(why).strip().splitlines()[-1]) from why
        (folder / STAMP).write_text(digest)


def _say(line: str) -> None:
    print(line, file=sys.stderr)
