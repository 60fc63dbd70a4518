"""Callers who come with a token of an issuer, at a whole gateway."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import update

from service.store.owners import Origin, make_project
from service.store.revision import bump_revision
from service.store.tables import projects
from tests.real_parts.gateway import (
    CHAT,
    RunningGateway,
    answer_of,
    chat,
    chat_body,
    gateway_before,
    opened,
    rendered,
)
from tests.real_parts.jwks import AUDIENCE, IssuerServer, forged, signing_key
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import answering

ANSWERS: Final = answering(answer_of(chat_body()))
OLD, NEW = signing_key("ES256", "old"), signing_key("ES256", "new")


@pytest.fixture
def issuer() -> Iterator[IssuerServer]:
    with IssuerServer(OLD) as server:
        yield server


@asynccontextmanager
async def gateway_that_trusts(
    issuer: IssuerServer, folder: Path, **more: object
) -> AsyncIterator[RunningGateway]:
    """Run a gateway with a project `search` that tokens of the issuer's `search-team` reach."""

    def trust(settings: dict[str, Any]) -> None:
        trusted = {
            "name": "corp",
            "issuer": issuer.url,
            "audience": AUDIENCE,
            "algorithms": ["ES256", "RS256"],
            "claims": {"project": "team"},
            "projects": {"search-team": "search", "ghosts": "ghost"},
            **more,
        }
        settings["auth"] = {"issuers": [trusted]}

    async with gateway_before(
        ANSWERS, folder=folder, change=trust, prepare=_add_project
    ) as gateway:
        yield gateway


def _add_project(settings: Any) -> None:  # noqa: ANN401  (settings)
    with opened(settings) as store, store.begin() as connection:
        make_project(connection, "search", Origin(time.time(), "tests"))
        bump_revision(connection)


def _disable_project(gateway: RunningGateway) -> None:
    with opened(gateway.settings) as store, store.begin() as connection:
        changed = {"disabled_at": time.time(), "revision": bump_revision(connection)}
        connection.execute(update(projects).where(projects.c.name == "search").values(changed))


async def ask(gateway: RunningGateway, token: str) -> tuple[int, str]:
    """Return the status, and the code and words of a refusal."""
    reply = await gateway.post(CHAT, chat(), key=token)
    if reply.status == 200:
        return 200, ""
    return reply.status, f"{reply.code}: {reply.json['error']['message']}"


async def until(gateway: RunningGateway, token: str, status: int) -> None:
    async with asyncio.timeout(20):
        while (await ask(gateway, token))[0] != status:
            pass


@on_uvloop
async def test_a_token_is_answered_and_its_record_names_nobody(
    tmp_path: Path, issuer: IssuerServer
) -> None:
    async with gateway_that_trusts(issuer, tmp_path) as gateway:
        token = issuer.token(team="search-team", sub="alice@example.org")
        assert (await ask(gateway, token))[0] == 200
        record = await gateway.exchange()
        assert record.opened.project == "search"
        kind, name, digest = record.opened.key.split(":")
        assert (kind, name, len(digest)) == ("jwt", "corp", 16)
        journal = b"".join(
            path.read_bytes() for path in (tmp_path / "data/journal").rglob("*") if path.is_file()
        )
        assert b"alice" not in journal
        assert token.encode() not in journal


@on_uvloop
async def test_a_token_is_asked_for_its_time_with_each_request_of_a_connection(
    tmp_path: Path, issuer: IssuerServer
) -> None:
    async with gateway_that_trusts(issuer, tmp_path, leeway_s=0) as gateway:
        token = issuer.token(team="search-team", exp=int(time.time()) + 3)
        request = rendered(CHAT, chat(), key=None, headers=[("x-api-key", token)])
        connection = await gateway.connect()
        statuses = []
        async with asyncio.timeout(20):
            while 401 not in statuses:
                await connection.send(request)
                statuses.append((await connection.reply()).status)
        assert statuses[0] == 200
        assert gateway.metric("auth_failures_total", reason="token_expired") == 1


@on_uvloop
async def test_a_disabled_project_ends_its_tokens(tmp_path: Path, issuer: IssuerServer) -> None:
    async with gateway_that_trusts(issuer, tmp_path) as gateway:
        token = issuer.token(team="search-team")
        assert (await ask(gateway, token))[0] == 200
        _disable_project(gateway)
        await until(gateway, token, 401)
        status, words = await ask(gateway, token)
        assert (status, words.split(":")[0]) == (401, "invalid_api_key")
        assert "disabled" in words


@on_uvloop
async def test_tokens_that_prove_nothing_are_refused_and_counted(
    tmp_path: Path, issuer: IssuerServer
) -> None:
    team, now = {"team": "search-team"}, int(time.time())
    stranger = signing_key("ES256", "stranger")
    attacks = {
        "token_bad_algorithm": forged({"alg": "none", "kid": "old"}, issuer.claims(**team)),
        "token_expired": issuer.token(**team, iat=now - 600, exp=now - 60),
        "token_not_yet_valid": issuer.token(**team, nbf=now + 600),
        "token_wrong_audience": issuer.token(**team, aud="others"),
        "token_wrong_issuer": issuer.token(**team, iss="https://evil.example.org"),
        "token_bad_signature": stranger.sign(issuer.claims(**team), kid="old"),
        "token_unknown_key": stranger.sign(issuer.claims(**team)),
        "token_too_long_lived": issuer.token(**team, exp=now + 90_000),
        "token_not_mapped": issuer.token(team="search"),
        "token_unknown_project": issuer.token(team="ghosts"),
        "token_too_large": issuer.token(**team, pad="x" * 9000),
        "token_malformed": "a.b.c",
        "unknown": "not-a-token",
    }
    async with gateway_that_trusts(issuer, tmp_path) as gateway:
        for reason, token in attacks.items():
            status, words = await ask(gateway, token)
            assert (status, words.split(":")[0]) == (401, "invalid_api_key"), reason
            assert gateway.metric("auth_failures_total", reason=reason) == 1, reason
        assert gateway.upstream.requests == []


@on_uvloop
async def test_a_rotated_key_counts_within_one_refresh_and_the_one_before_ends(
    tmp_path: Path, issuer: IssuerServer
) -> None:
    async with gateway_that_trusts(issuer, tmp_path, refresh_s=1) as gateway:
        old = issuer.token(team="search-team")
        assert (await ask(gateway, old))[0] == 200
        issuer.keys = [NEW]
        new = issuer.token(team="search-team")
        await until(gateway, new, 200)
        assert (await ask(gateway, old))[0] == 401
        assert gateway.metric("auth_failures_total", reason="token_unknown_key") >= 2


@on_uvloop
async def test_an_issuer_that_is_away_at_the_start_keeps_nobody_else_out(
    tmp_path: Path, issuer: IssuerServer
) -> None:
    issuer.pages["/keys"] = (503, {}, b"")
    async with gateway_that_trusts(issuer, tmp_path, refresh_s=1) as gateway:
        assert (await gateway.post(CHAT, chat())).status == 200
        token = issuer.token(team="search-team")
        reply = await gateway.post(CHAT, chat(), key=token)
        assert (reply.status, reply.code) == (503, "safeguard_inactive")
        assert "retry-after" in reply.headers
        assert gateway.metric("auth_failures_total", reason="token_keys_away") == 1
        assert gateway.metric("issuer_key_refreshes_total", issuer="corp", outcome="bad_status")
        del issuer.pages["/keys"]
        await until(gateway, token, 200)


@on_uvloop
async def test_an_issuer_that_says_nothing_holds_up_no_request(
    tmp_path: Path, issuer: IssuerServer
) -> None:
    gone = threading.Event()

    def say_nothing(to: BaseHTTPRequestHandler) -> None:
        with contextlib.suppress(OSError):
            to.connection.recv(1)
        gone.set()

    issuer.pages["/keys"] = say_nothing
    async with gateway_that_trusts(issuer, tmp_path) as gateway:
        assert (await gateway.post(CHAT, chat())).status == 200
        assert (await ask(gateway, issuer.token(team="search-team")))[0] == 503
        assert not gone.is_set(), "the gateway has waited for the issuer"


@on_uvloop
async def test_an_issuer_that_goes_away_later_is_done_without_for_a_while(
    tmp_path: Path, issuer: IssuerServer
) -> None:
    async with gateway_that_trusts(issuer, tmp_path) as gateway:
        issuer.pages["/keys"] = (503, {}, b"")
        for keys in _issuers_keys(gateway):
            assert not await asyncio.to_thread(keys.refresh)
        assert (await ask(gateway, issuer.token(team="search-team")))[0] == 200


def _issuers_keys(gateway: RunningGateway) -> list[Any]:
    tokens = gateway.pipeline.authenticator._tokens
    assert tokens is not None
    return [issuer.keys for issuer in tokens._issuers.values()]
