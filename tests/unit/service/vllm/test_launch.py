from pathlib import Path

import pytest

from service.vllm.home import VllmError
from service.vllm.launch import Found, Serve, choose, command_line, environment_of

CPU = Found(Path("/cpu/python"), "0.32.0+cpu")
GPU = Found(Path("/gpu/python"), "0.32.0")


@pytest.mark.parametrize(
    ("found", "has_gpu", "chosen"),
    [([CPU, GPU], True, GPU), ([CPU, GPU], False, CPU), ([CPU], True, CPU), ([GPU], True, GPU)],
)
def test_a_gpu_build_runs_only_where_there_is_a_gpu(
    found: list[Found], has_gpu: bool, chosen: Found
) -> None:
    assert choose(found, has_gpu=has_gpu) == chosen


@pytest.mark.parametrize(("found", "has_gpu"), [([], False), ([], True), ([GPU], False)])
def test_without_a_vllm_that_fits_the_command_that_installs_one_is_named(
    found: list[Found], has_gpu: bool
) -> None:
    with pytest.raises(VllmError, match="watchgate vllm --prepare"):
        choose(found, has_gpu=has_gpu)


def test_on_a_gpu_nothing_is_added_to_plain_vllm_serve() -> None:
    command = command_line(GPU, Serve("/m", "name", "0.0.0.0", 9000, ("--dtype", "half")))  # noqa: S104

    serve = "serve /m --served-model-name name --host 0.0.0.0 --port 9000 --dtype half"
    assert " ".join(command).endswith(f"vllm.entrypoints.cli.main {serve}")
    assert environment_of(GPU, {"A": "1"}, cores=2) == {"A": "1"}


def test_on_the_cpu_the_users_own_arguments_come_last_and_so_win() -> None:
    command = command_line(CPU, Serve("/m", extra=("--max-model-len", "512")))

    assert command.index("float32") == command.index("--dtype") + 1
    assert "--enforce-eager" in command
    assert command[-2:] == ["--max-model-len", "512"]


def test_on_the_cpu_the_users_own_environment_wins() -> None:
    environment = environment_of(CPU, {"VLLM_CPU_KVCACHE_SPACE": "4", "PATH": "/bin"}, cores=2)

    assert environment["VLLM_CPU_KVCACHE_SPACE"] == "4"
    assert environment["PATH"] == "/bin"
    assert environment["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize(("cores", "bound"), [(1, False), (2, False), (7, False), (8, True)])
def test_threads_are_bound_to_cores_only_on_machines_with_cores_to_spare(
    cores: int, bound: bool
) -> None:
    environment = environment_of(CPU, {}, cores=cores)

    assert ("VLLM_CPU_OMP_THREADS_BIND" not in environment) is bound
    assert environment.get("OMP_NUM_THREADS") == (None if bound else str(cores))
