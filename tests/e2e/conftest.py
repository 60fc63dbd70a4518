"""What stands behind the gateway where a test needs no real model."""

from collections.abc import Iterator

import pytest

from load_tests.processes import child, compiled, listens
from tests.real_parts.kafka_broker import free_port, wait_until
from tests.real_parts.sdks import Watched
from tests.real_parts.watchgate import Watchgate

MOCK_START_S = 30.0
OF_THE_DEVELOPER = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "LANGCHAIN_TRACING_V2",
    "LANGSMITH_TRACING",
)


@pytest.fixture(autouse=True)
def nobodys_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the SDKs from keys that the environment holds, and from telling others of the calls."""
    for name in OF_THE_DEVELOPER:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def mock_vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of a fast stand-in for vLLM.

    A model called `mock-200-300` streams 300 events, one every 200 ms.
    """
    port = free_port()
    with child([compiled("mock"), port], log=tmp_path_factory.mktemp("mock") / "mock.log"):
        wait_until(lambda: listens(port), MOCK_START_S, "the mock takes connections")
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def watched(real_vllm: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """An installation in front of the real vLLM, for the tests of SDKs."""
    watchgate = Watchgate(tmp_path_factory.mktemp("watched"), real_vllm)
    key = watchgate.create_key("acme")
    with watchgate:
        yield Watched(watchgate, key, real_vllm)
