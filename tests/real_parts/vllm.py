"""A real vLLM on this machine, started once for the whole test run.

`tests/conftest.py` offers the fixture to every test; imported into test files instead, it would
start one server for each. Mark the tests that use it `vllm`, with a timeout of 600 s.
"""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.vllm.home import VllmError, default_home, say
from service.vllm.install import is_installed
from service.vllm.launch import INSTALL_COMMAND
from service.vllm.model import is_prepared
from service.vllm.wait import wait_until_healthy

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("--", "--enable-auto-tool-choice", "--tool-call-parser", "hermes")
"""vLLM calls no tool without a parser, not even one that a request names."""
STOP_LIMIT_S = 30.0
TAIL_LINES = 40


@pytest.fixture(scope="session")
def real_vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of a vLLM that serves SmolLM2 as `smollm2`, up to 2048 tokens, with tools."""
    home = default_home()
    if not (is_installed(home) and is_prepared(home)):
        pytest.fail(f"the real vLLM is not installed: run `{INSTALL_COMMAND}`")
    with running_vllm(tmp_path_factory.mktemp("vllm") / "vllm.log", *TOOLS) as base_url:
        yield base_url


@contextmanager
def running_vllm(log: Path, *arguments: str, port: int | None = None) -> Iterator[str]:
    """Run the launcher, on a free port, until the block ends; `arguments` go to the launcher."""
    port = port or free_port()
    command = [sys.executable, "-m", "service.vllm", "--port", str(port), *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=output, stderr=output, start_new_session=True
        )
    try:
        base_url = f"http://127.0.0.1:{port}"
        wait_or_show(process, base_url, log)
        yield base_url
    finally:
        stop(process)


def wait_or_show(process: "subprocess.Popen[bytes]", base_url: str, log: Path) -> None:
    """Wait for an answer; on failure show the end of the log."""
    try:
        wait_until_healthy(base_url, say, is_alive=lambda: process.poll() is None)
    except VllmError as error:
        tail = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        pytest.fail(f"{error}; the end of {log}:\n" + "\n".join(tail))


def running_requests(base_url: str) -> float:
    """Return how many requests a vLLM works on, by its own account."""
    with urllib.request.urlopen(f"{base_url}/metrics", timeout=10) as answer:  # noqa: S310
        text = answer.read().decode()
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    return sum(one.value for one in samples if one.name == "vllm:num_requests_running")


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask vLLM to end; what is left of its session after the limit is killed."""
    process.terminate()
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_LIMIT_S)


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
