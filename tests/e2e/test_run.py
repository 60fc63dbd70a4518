"""`make run` in front of an upstream that is there: from nothing to a `curl` that works."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real_parts.debian import debian_program
from tests.real_parts.kafka_broker import free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
START_S = 120.0
STOP_S = 60.0


@pytest.fixture
def environment() -> dict[str, str]:
    """Ports that nobody else uses."""
    names = ("GATEWAY", "OPS", "CONSOLE")
    return {**os.environ, **{f"WATCHGATE_{name}__PORT": str(free_port()) for name in names}}


def run_command(folder: Path, upstream: str) -> list[str]:
    arguments = ["--upstream", upstream, "--model", "mock-1-1", "--folder", str(folder)]
    return [sys.executable, "-m", "scripts.run", *arguments]


@pytest.fixture
def running(
    mock_vllm: str, tmp_path: Path, environment: dict[str, str]
) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """The process, and the file of what it prints."""
    said = tmp_path / "said"
    with said.open("wb") as output:
        process = subprocess.Popen(
            run_command(tmp_path / "run", mock_vllm),
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process, said
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(STOP_S)


def test_the_printed_curl_works_and_ctrl_c_stops_everything(
    running: tuple["subprocess.Popen[bytes]", Path], environment: dict[str, str]
) -> None:
    process, said = running
    wait_until(
        lambda: "Ctrl-C stops everything" in said.read_text() or process.poll() is not None,
        START_S,
        "everything is up",
    )
    text = said.read_text()
    assert process.poll() is None, text
    [command] = re.findall(r"curl (?:.*\\\n)*.*", text)
    curl = debian_program("curl", "curl")
    answer = subprocess.run(
        ["sh", "-c", command.replace("curl", str(curl), 1)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert '"choices"' in answer.stdout
    process.send_signal(signal.SIGINT)
    assert process.wait(STOP_S) == 0
    ports = [int(port) for name, port in environment.items() if name.endswith("__PORT")]
    assert [port for port in ports if listens(port)] == []


def test_ctrl_c_while_it_starts_leaves_nothing_running(
    running: tuple["subprocess.Popen[bytes]", Path], environment: dict[str, str]
) -> None:
    process, said = running
    wait_until(lambda: "starting Watchgate" in said.read_text(), START_S, "the start begins")
    process.send_signal(signal.SIGINT)
    assert process.wait(STOP_S) == 0, said.read_text()
    ports = [int(port) for name, port in environment.items() if name.endswith("__PORT")]
    wait_until(lambda: not any(map(listens, ports)), STOP_S, "all ports are free")


def test_a_taken_port_is_named_before_anything_is_started(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(environment["WATCHGATE_OPS__PORT"])))
        taken.listen()
        done = subprocess.run(
            run_command(tmp_path, "http://127.0.0.1:9"),
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert f"port {environment['WATCHGATE_OPS__PORT']} is taken" in done.stderr


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
