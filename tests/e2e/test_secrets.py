"""Secrets and what callers say are found nowhere but where they belong."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from service.core.callers import make_key
from tests.real_parts.kafka_broker import wait_until
from tests.real_parts.watchgate import Watchgate

PEPPER: Final = "canary-pepper-5c1e0a"
UPSTREAM_KEY: Final = "canary-upstream-9d27b4"
WRONG_KEY: Final = make_key(b"canary-key-that-is-not-known-000")
WRONG_TOKEN: Final = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJjYW5hcnktdG9rZW4ifQ.canary-signature"
END_USER: Final = "canary-user@example.org"
PROMPT: Final = "canary-prompt-77af12"
MODEL: Final = "mock-0-3"


class Leaks:
    """Where texts are looked for."""

    def __init__(self, watchgate: Watchgate) -> None:
        self._watchgate = watchgate
        self.answers: list[str] = []
        """What was answered or printed, but for what is meant to show a secret."""

    def of(self, text: str, *, content: bool = False) -> list[str]:
        """Name the places that hold a text; `content`: what is said belongs into the journal."""
        data_dir = Path(self._watchgate.settings["data_dir"])
        files = [it for it in self._watchgate.folder.rglob("*") if it.is_file()]
        own = {self._watchgate.config, data_dir / "pepper", data_dir / "audit-key"}
        journals = set(self._watchgate.journals.rglob("*")) if content else set()
        found = [str(it) for it in set(files) - own - journals if text.encode() in it.read_bytes()]
        return found + [f"answer: {it[:80]}" for it in self.answers if text in it]


@pytest.fixture
def watchgate(mock_vllm: str, tmp_path: Path) -> Iterator[Watchgate]:
    watchgate = Watchgate(
        tmp_path / "watchgate",
        mock_vllm,
        auth={"pepper": PEPPER},
        upstreams=[{"name": "local", "url": mock_vllm, "api_key": UPSTREAM_KEY}],
        models=[{"name": MODEL, "upstream": "local", "tier": 1}],
        log_level="DEBUG",
    )
    with watchgate:
        yield watchgate


def ask(watchgate: Watchgate, key: str, **more: object) -> httpx.Response:
    body = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}], **more}
    return httpx.post(
        watchgate.url + "/v1/chat/completions",
        headers={"authorization": f"Bearer {key}"},
        json=body,
        timeout=30,
    )


def admin(watchgate: Watchgate, path: str, token: str) -> httpx.Response:
    port = watchgate.settings["console"]["port"]
    headers = {"authorization": f"Bearer {token}"}
    return httpx.get(f"http://127.0.0.1:{port}/admin/v1/{path}", headers=headers, timeout=30)


def test_no_secret_and_nothing_that_was_said_is_written_where_it_does_not_belong(
    watchgate: Watchgate,
) -> None:
    leaks = Leaks(watchgate)
    key = watchgate.create_key("search")
    token = json.loads(watchgate.command("admin", "bootstrap", "--json"))["token"]
    wait_until(lambda: ask(watchgate, key).status_code == 200, 10, "the key is known")

    replies = [
        ask(watchgate, key, user=END_USER),
        ask(watchgate, key, user=END_USER, stream=True),
        ask(watchgate, key, user=END_USER, never_heard_of=PROMPT),
        ask(watchgate, key, model=PROMPT),
        ask(watchgate, WRONG_KEY),
        ask(watchgate, WRONG_TOKEN),
    ]
    assert [it.status_code for it in replies] == [200, 200, 400, 404, 401, 401]
    told = [admin(watchgate, path, token) for path in ("status", "keys", "audit", "openapi.json")]
    assert {it.status_code for it in told} == {200}
    told += [admin(watchgate, "status", wrong) for wrong in (WRONG_TOKEN, WRONG_KEY, key)]
    leaks.answers = [it.text for it in replies[2:3] + replies[4:] + told]
    leaks.answers += [
        watchgate.command("check-config", "--json"),
        watchgate.command("keys", "list", "--json"),
        watchgate.command("audit", "list", "--json"),
    ]
    watchgate.stop()

    for secret in (PEPPER, UPSTREAM_KEY, key, token, WRONG_KEY, WRONG_TOKEN):
        assert leaks.of(secret) == []
    for said in (END_USER, PROMPT):
        assert leaks.of(said, content=True) == []
    assert leaks.of(PROMPT), "what is looked for is not written at all: the test proves nothing"
