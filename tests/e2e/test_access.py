"""Two gateways and one store: what is taken away is gone at both within two seconds."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.real_parts.kafka_broker import wait_until
from tests.real_parts.watchgate import Watchgate

CONTRACT_S: Final = 2.0
SLOW: Final = "slow"
QUICK: Final = "quick"
Two = tuple[Watchgate, Watchgate]


@pytest.fixture
def two(mock_vllm: str, tmp_path: Path) -> Iterator[Two]:
    """Run two gateways, on two machines as it were, before one store."""
    shared: dict[str, object] = {
        "store": {"url": f"sqlite:///{tmp_path / 'watchgate.db'}"},
        "auth": {"pepper": "a pepper that both machines have"},
        "audit": {"key": "a key that both machines have"},
        "access": {"tiers": {"1": {"ends_answers": True}}},
        "models": [
            {"name": SLOW, "upstream": "local", "upstream_model": "mock-200-300", "tier": 1},
            {"name": QUICK, "upstream": "local", "upstream_model": "mock-0-1", "tier": 1},
        ],
    }
    gateways = [Watchgate(tmp_path / name, mock_vllm, **shared) for name in ("one", "other")]
    for watchgate in gateways:
        watchgate.start("screener", "gateway")
    yield gateways[0], gateways[1]
    for watchgate in gateways:
        assert watchgate.stop() == [0, 0]


class OpenStream:
    """A stream that a caller reads, in a thread of its own."""

    def __init__(self, watchgate: Watchgate, key: str, **fields: object) -> None:
        self.lines: list[str] = []
        self.ended_at: float | None = None
        self._call = (watchgate.url + "/v1/chat/completions", {"authorization": f"Bearer {key}"})
        self._body = {**body(SLOW), "stream": True, **fields}
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        url, headers = self._call
        with httpx.stream("POST", url, headers=headers, json=self._body, timeout=60) as answer:
            for line in answer.iter_lines():
                self.lines.append(line)
        self.ended_at = time.monotonic()

    def has_ended(self) -> bool:
        """Whether all was read."""
        return self.ended_at is not None

    @property
    def goes_on(self) -> bool:
        """Whether text came, and no end."""
        return bool(self.lines) and self.ended_at is None

    @property
    def code(self) -> str | None:
        """The code of the error that the stream ended with."""
        told = [line for line in self.lines if line.startswith('data: {"error"')]
        return json.loads(told[-1][6:])["error"]["code"] if told else None


def body(model: str) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "Hello"}]}


def ask(watchgate: Watchgate, key: str, **fields: object) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    request = {**body(QUICK), **fields}
    return httpx.post(
        watchgate.url + "/v1/chat/completions", headers=headers, json=request, timeout=30
    )


def made_key(watchgate: Watchgate, project: str) -> tuple[str, str]:
    """Make a key; return its id and the key itself."""
    made = json.loads(watchgate.command("keys", "create", "--project", project, "--json"))
    return made["id"], made["key"]


def is_served(key: str, watchgate: Watchgate) -> bool:
    return ask(watchgate, key).status_code == 200


def serve_both(two: Two, key: str) -> None:
    for watchgate in two:
        wait_until(partial(is_served, key, watchgate), 10, "the key is served")


def gone_at_both(two: Two, streams: list[OpenStream], is_gone: Callable[[Watchgate], bool]) -> None:
    """See that new requests are refused and open streams end, all within the contract's bound."""
    end = time.monotonic() + CONTRACT_S
    for watchgate in two:
        left_s = end - time.monotonic()
        wait_until(partial(is_gone, watchgate), left_s, "requests are refused")
    for stream in streams:
        wait_until(stream.has_ended, 10, "the stream ends")
        assert (stream.ended_at or end) <= end
        assert "data: [DONE]" not in stream.lines


def test_a_revoked_key_is_refused_at_both_gateways_and_its_streams_end(two: Two) -> None:
    key_id, key = made_key(two[0], "search")
    _, other = made_key(two[1], "chat")
    serve_both(two, key)
    serve_both(two, other)
    streams = [OpenStream(watchgate, key) for watchgate in two]
    others = [OpenStream(watchgate, other) for watchgate in two]
    wait_until(lambda: all(it.goes_on for it in streams + others), 10, "the streams have begun")
    two[1].command("keys", "revoke", key_id)
    gone_at_both(two, streams, lambda at: ask(at, key).status_code == 401)
    assert [it.code for it in streams] == ["invalid_api_key"] * 2
    assert all(it.goes_on for it in others)
    assert [ask(at, other).status_code for at in two] == [200, 200]


def test_a_suspended_account_is_refused_at_both_gateways_until_it_is_reinstated(two: Two) -> None:
    _, key = made_key(two[0], "search")
    serve_both(two, key)
    streams = [OpenStream(watchgate, key) for watchgate in two]
    wait_until(lambda: all(it.goes_on for it in streams), 10, "the streams have begun")
    two[0].command("accounts", "suspend", "search", "--reason", "a test")
    gone_at_both(two, streams, lambda at: ask(at, key).status_code == 403)
    assert [it.code for it in streams] == ["account_suspended"] * 2
    two[1].command("accounts", "reinstate", "search", "--reason", "it was a test")
    serve_both(two, key)


def test_an_end_user_that_is_suspended_leaves_the_others_of_its_project_alone(two: Two) -> None:
    _, key = made_key(two[0], "search")
    serve_both(two, key)
    answer = ask(two[0], key, user="alice")
    receipt = two[0].receipt(answer.headers["x-watchgate-receipt"])
    alice = receipt["records"][0]["event"]["account"]
    assert alice.startswith("search/")
    streams = [OpenStream(watchgate, key, user="alice") for watchgate in two]
    others = [OpenStream(watchgate, key, user="bob") for watchgate in two]
    wait_until(lambda: all(it.goes_on for it in streams + others), 10, "the streams have begun")
    two[0].command("accounts", "suspend", alice, "--reason", "a test")
    gone_at_both(two, streams, lambda at: ask(at, key, user="alice").status_code == 403)
    assert all(it.goes_on for it in others)
    assert [ask(at, key, user="bob").status_code for at in two] == [200, 200]
