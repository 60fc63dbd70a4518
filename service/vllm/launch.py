"""How vLLM is started: on which Python, with which arguments and environment."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from service.vllm.home import Home, VllmError
from service.vllm.install import is_installed

INSTALL_COMMAND = "watchgate vllm --prepare"
MAX_MODEL_LEN_TOKENS = 2048
KV_CACHE_GIB = 1
BINDING_PAYS_FROM_CORES = 8

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}

CPU_ARGUMENTS = (
    # bfloat16 gives wrong answers on CPUs without native support
    *("--dtype", "float32"),
    # compilation would need a compiler and minutes
    "--enforce-eager",
    *("--max-model-len", str(MAX_MODEL_LEN_TOKENS)),
)


@dataclass(frozen=True, slots=True)
class Found:
    """A Python that can import vLLM; a version with "cpu" in it is a CPU build."""

    python: Path
    version: str

    @property
    def is_cpu_build(self) -> bool:
        """Tell a CPU build from a GPU build."""
        return "cpu" in self.version


@dataclass(frozen=True, slots=True)
class Serve:
    """What is to be served and where."""

    model: str
    served_name: str = "smollm2"
    host: str = "127.0.0.1"
    port: int = 8000
    extra: tuple[str, ...] = ()


def choose(found: Sequence[Found], *, has_gpu: bool) -> Found:
    """Return the vLLM to run: a GPU build where there is a GPU, else a CPU build.

    Raises:
        VllmError: no vLLM that could run here; says the command that installs one.
    """
    for each in sorted(found, key=lambda each: each.is_cpu_build):
        if each.is_cpu_build or has_gpu:
            return each
    raise VllmError(f"no vLLM for this machine is installed; run `{INSTALL_COMMAND}`")


def command_line(chosen: Found, serve: Serve) -> list[str]:
    """Return the whole command; later arguments win, so `extra` can override ours."""
    # -P: a folder named like a package in the current folder must not shadow it
    command = [str(chosen.python), "-P", "-m", "vllm.entrypoints.cli.main", "serve", serve.model]
    command += ["--served-model-name", serve.served_name]
    command += ["--host", serve.host, "--port", str(serve.port)]
    if chosen.is_cpu_build:
        command += CPU_ARGUMENTS
    return [*command, *serve.extra]


def environment_of(chosen: Found, given: Mapping[str, str], *, cores: int) -> dict[str, str]:
    """Return vLLM's environment: what the user set wins over what the CPU needs."""
    return {**cpu_environment(cores), **given} if chosen.is_cpu_build else dict(given)


def cpu_environment(cores: int) -> dict[str, str]:
    """Return what a vLLM on the CPU needs.

    vLLM's own binding takes one thread of each physical core and keeps one back: on a small
    machine nothing is left. Unbound OpenMP threads that spin while they wait starve everyone on
    a shared machine: two cores under load made 2 tokens/s, 8 when they wait passively.
    """
    threads = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
    if cores < BINDING_PAYS_FROM_CORES:
        threads |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(cores)}
    return {"VLLM_CPU_KVCACHE_SPACE": str(KV_CACHE_GIB), **OFFLINE, **threads}


def find(home: Home, python: Path | None) -> list[Found]:
    """Return the usable vLLMs: of `python` if given, else of this Python and of `home`."""
    if python is not None:
        candidates = [python]
    else:
        candidates = [Path(sys.executable)]
        candidates += [home.python] if is_installed(home) else []
    versions = ((each, version_of_vllm(each)) for each in candidates)
    return [Found(each, version) for each, version in versions if version]


def version_of_vllm(python: Path) -> str | None:
    """Return the version of the vLLM that this Python would import, None without one."""
    asked = "import importlib.metadata as m; print(m.version('vllm'))"
    try:
        done = subprocess.run(  # noqa: S603 — the user's own interpreter
            [str(python), "-P", "-c", asked], check=False, capture_output=True, text=True
        )
    except OSError as error:
        raise VllmError(f"{python} cannot be run: {error.strerror}") from error
    return done.stdout.strip() if done.returncode == 0 else None


def has_nvidia_gpu() -> bool:
    """Tell whether the NVIDIA driver shows a GPU."""
    return any(Path("/proc/driver/nvidia/gpus").glob("*")) or Path("/dev/nvidia0").exists()


def become(command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Turn this process into vLLM, so that signals reach it and its exit code is ours."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], list(command), dict(environment))  # noqa: S606
