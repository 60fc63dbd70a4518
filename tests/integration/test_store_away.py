"""A gateway whose store goes away, and comes back."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from shutil import copy
from typing import Any, Final, Protocol

import pytest

from load_tests.bench_store import fill
from service.settings import Settings
from tests.real_parts.gateway import (
    CHAT,
    RunningGateway,
    add_key_of_tests,
    answer_of,
    chat,
    chat_body,
    gateway_before,
    opened,
    running,
    screener_beats,
    settings_in,
)
from tests.real_parts.postgres import PostgresServer, database
from tests.real_parts.scripted import ScriptedUpstream, answering

BOUND_S: Final = 6.0
DEADLINE_S: Final = 60.0
ANSWERS: Final = answering(answer_of(chat_body()))


class Comes(Protocol):
    """A store that can be taken away and brought back."""

    url: str

    def leave(self) -> None: ...

    def come_back(self) -> None: ...


class SqliteFile:
    """A file: moved away, as when its disk is gone."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "disk" / "watchgate.db"
        self.url = f"sqlite:///{self._file}"

    def leave(self) -> None:
        self._file.parent.rename(self._file.parent.with_name("away"))

    def come_back(self) -> None:
        if not self._file.exists():
            self._file.parent.with_name("away").rename(self._file.parent)


class PostgresDatabase:
    """A server: stopped."""

    def __init__(self, server: PostgresServer, url: str) -> None:
        self._server = server
        self._is_away = False
        self.url = url

    def leave(self) -> None:
        self._server.stop()
        self._is_away = True

    def come_back(self) -> None:
        if self._is_away:
            self._server.start()
        self._is_away = False


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Comes]:
    if request.param == "sqlite":
        yield SqliteFile(tmp_path)
        return
    server = request.getfixturevalue("postgres")
    with database(server, "template0") as url:
        one = PostgresDatabase(server, url)
        try:
            yield one
        finally:
            one.come_back()


def placed(store: Comes, bound_s: float = BOUND_S) -> Callable[[dict[str, Any]], None]:
    def change(written: dict[str, Any]) -> None:
        written["store"] = {"url": store.url, "poll_s": 0.1, "max_staleness_s": {"1": bound_s}}

    return change


@asynccontextmanager
async def restarted(settings: Settings, **more: object) -> AsyncIterator[RunningGateway]:
    """Start a gateway with what is there by these settings, before an upstream of its own."""
    async with ScriptedUpstream(ANSWERS) as upstream:
        moved = {"url": f"http://127.0.0.1:{upstream.port}"}
        upstreams = (settings.upstreams[0].model_copy(update=moved),)
        changed = settings.model_copy(update={"upstreams": upstreams, **more})
        async with running(changed, upstream) as gateway:
            yield gateway


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not is_so():  # noqa: ASYNC110  (a clock has no event to offer)
            await asyncio.sleep(0.05)


async def status_is(gateway: RunningGateway, status: int) -> str:
    """Ask until an answer has this status; return its text."""
    async with asyncio.timeout(DEADLINE_S):
        while (reply := await gateway.post(CHAT, chat())).status != status:  # noqa: ASYNC110  (as there)
            await asyncio.sleep(0.05)
    return reply.body.decode()


def age_s(gateway: RunningGateway) -> float:
    return gateway.metric("snapshot_age_seconds")


async def test_a_gateway_serves_without_its_store_up_to_the_tiers_bound_and_recovers(
    store: Comes, tmp_path: Path
) -> None:
    async with gateway_before(
        ANSWERS, folder=tmp_path, tier=1, change=placed(store), prepare=screener_beats
    ) as gateway:
        await status_is(gateway, 200)
        store.leave()
        assert (await gateway.post(CHAT, chat())).status == 200
        assert gateway.parts.reasons() == []
        await until(lambda: age_s(gateway) > 1)
        told = await status_is(gateway, 503)
        assert "safeguard_inactive" in told
        assert "The safeguard 'store' is not active: the store was last heard of" in told
        assert age_s(gateway) > BOUND_S
        (reason,) = gateway.parts.reasons()
        assert reason.code == "safeguard_inactive"
        assert "'store'" in reason.message
        store.come_back()
        screener_beats(gateway.settings)
        await status_is(gateway, 200)
        await until(lambda: age_s(gateway) < BOUND_S)
        assert gateway.parts.reasons() == []


async def test_a_key_that_is_revoked_while_a_gateway_cannot_know_is_refused_once_it_can(
    store: Comes, tmp_path: Path
) -> None:
    async with gateway_before(
        ANSWERS, folder=tmp_path, tier=1, change=placed(store, 600), prepare=screener_beats
    ) as gateway:
        await status_is(gateway, 200)
        store.leave()
        await until(lambda: age_s(gateway) > 1)
        store.come_back()
        gateway.revoke_key()
        assert "revoked" in await status_is(gateway, 401)


def copy_of(settings: Settings) -> Path:
    return settings.data_dir / "store-copy" / "gateway-0"


async def serve_once(settings: Settings) -> None:
    """Run a gateway until it has kept its copy."""
    async with restarted(settings) as gateway:
        await until(lambda: copy_of(settings).exists())
        assert gateway.parts.board.any_served()


def prepared(store: Comes, folder: Path, bound_s: float) -> Settings:
    settings = settings_in(folder, 1, 1, placed(store, bound_s))
    add_key_of_tests(settings)
    screener_beats(settings)
    return settings


@contextmanager
def away(store: Comes) -> Iterator[None]:
    store.leave()
    try:
        yield
    finally:
        store.come_back()


async def test_a_gateway_that_starts_while_its_store_is_away_serves_from_its_copy(
    store: Comes, tmp_path: Path
) -> None:
    settings = prepared(store, tmp_path, 600)
    await serve_once(settings)
    heard_at = time.time()
    with away(store):
        async with restarted(settings) as gateway:
            await status_is(gateway, 200)
            assert gateway.parts.reasons() == []
            await until(lambda: age_s(gateway) > 1)
            assert age_s(gateway) <= time.time() - heard_at + 6
            store.come_back()
            gateway.revoke_key()
            await status_is(gateway, 401)


async def test_the_age_of_a_copy_counts_on_over_starts(store: Comes, tmp_path: Path) -> None:
    settings = prepared(store, tmp_path, BOUND_S)
    await serve_once(settings)
    heard_at = time.monotonic()
    with away(store):
        await until(lambda: time.monotonic() - heard_at > BOUND_S)
        async with restarted(settings) as gateway:
            assert "'store'" in await status_is(gateway, 503)


async def test_a_copy_that_was_tampered_with_is_refused_and_told(
    store: Comes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = prepared(store, tmp_path, 600)
    await serve_once(settings)
    content = bytearray(copy_of(settings).read_bytes())
    content[len(content) // 2] ^= 1
    copy_of(settings).write_bytes(content)
    with away(store), caplog.at_level(logging.WARNING):
        async with restarted(settings) as gateway:
            assert "the store has not been read yet" in await status_is(gateway, 503)
            assert "gateway-0 was changed, or made under another pepper" in caplog.text
            (reason,) = gateway.parts.reasons()
            assert "the store has not been read yet" in reason.message
            store.come_back()
            await status_is(gateway, 200)


async def test_a_gateway_goes_on_while_another_process_holds_the_file(tmp_path: Path) -> None:
    store = SqliteFile(tmp_path)
    async with gateway_before(
        ANSWERS, folder=tmp_path, tier=1, change=placed(store), prepare=screener_beats
    ) as gateway:
        await status_is(gateway, 200)
        holder = sqlite3.connect(tmp_path / "disk" / "watchgate.db", isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        await until(lambda: age_s(gateway) > 1)
        assert (await gateway.post(CHAT, chat())).status == 200
        assert "'store'" in await status_is(gateway, 503)
        holder.execute("COMMIT")
        holder.close()
        await status_is(gateway, 200)


async def test_of_a_hundred_thousand_keys_one_that_is_revoked_is_refused_within_two_seconds(
    store: Comes, tmp_path: Path
) -> None:
    def with_many(settings: Settings) -> None:
        with opened(settings) as filled:
            fill(filled, 100_000, 10_000)

    def polled_each_second(written: dict[str, Any]) -> None:
        written["store"] = {"url": store.url}

    elsewhere = tmp_path / "elsewhere"
    async with gateway_before(
        ANSWERS, folder=tmp_path, change=polled_each_second, prepare=with_many
    ) as one:
        elsewhere.mkdir(mode=0o700)
        copy(one.settings.data_dir / "pepper", elsewhere / "pepper")
        await see_it_go(one, elsewhere)


async def see_it_go(one: RunningGateway, elsewhere: Path) -> None:
    """Revoke a key, and see two gateways refuse it that share nothing but the store."""
    async with restarted(one.settings, data_dir=elsewhere) as other:
        for gateway in (one, other):
            await status_is(gateway, 200)
        one.revoke_key()
        revoked_at = time.monotonic()
        for gateway in (one, other):
            await status_is(gateway, 401)
        assert time.monotonic() - revoked_at < 2
