"""What becomes of limits while the Redis that counts them is away, and after it."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from prometheus_client import CollectorRegistry

from service.core.limits import Counters, Kind
from service.errors import RateLimitExceeded, SafeguardInactive
from service.gateway.limiter import Limiter
from service.gateway.meters import Meters
from service.gateway.redis_limiter import RedisLimiter
from service.settings import RedisLimits, Settings
from service.telemetry.metrics import Metrics
from service.wiring.limits import limiter_of
from tests.real_parts.certificates import self_signed
from tests.real_parts.kafka_broker import free_port
from tests.real_parts.limiting import OneGateway, a_gateway, counter
from tests.real_parts.redis import RedisServer, redis_server
from tests.real_parts.scripted import eventually

OPEN, GRAVE = 0, 2
LIMITS = (counter(Kind.REQUESTS, 30), counter(Kind.CONCURRENT, 9))
BACK_S = 20.0
RIGHTS = (
    "+evalsha +eval +select +time +get +incr +decr +del +exists +expire +hget +hmget +hgetall "
    "+hset +hincrby +hdel +hscan +zadd +zrem +zrange +zrangebyscore"
)
"""Those that docs/limits.md names."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis") as one:
        yield one


def gateway_on(server: RedisServer) -> "contextlib.AbstractAsyncContextManager[OneGateway]":
    return a_gateway(server.url, "watchgate", timeout_s=0.5, gateways=3, share_tiers=(OPEN,))


async def let_in(gateway: OneGateway, counters: Counters, times: int) -> int:
    """Ask so many times on an open tier; every request ends before the next comes."""
    count = 0
    for _ in range(times):
        try:
            gateway.limiter.settle(await gateway.limiter.admit(counters, 1, OPEN), 1)
        except RateLimitExceeded:
            continue
        count += 1
    return count


async def back(gateway: OneGateway) -> None:
    await eventually(lambda: not gateway.limiter.is_away, BACK_S)


async def test_while_redis_is_away_each_tier_does_what_is_set_and_it_is_counted(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with gateway_on(server) as gateway:
        await gateway.limiter.admit(LIMITS, 1, GRAVE)
        server.kill()
        await eventually(lambda: gateway.limiter.is_away, BACK_S)
        assert await let_in(gateway, LIMITS, 20) == 10  # a third of 30
        for _ in range(3):
            with pytest.raises(SafeguardInactive, match="cannot be counted"):
                await gateway.limiter.admit(LIMITS, 1, GRAVE)
        assert gateway.meters.limits_shared.total == 20
        assert gateway.meters.limits_refused.total == 3
        server.start()
        await back(gateway)
        await gateway.limiter.admit(LIMITS, 1, GRAVE)
        assert gateway.meters.limits_refused.total == 3
    assert "cannot be counted in Redis" in caplog.text
    assert str(server.port) not in caplog.text


async def test_a_share_of_nothing_refuses_until_redis_is_back(server: RedisServer) -> None:
    one = (counter(Kind.CONCURRENT, 2),)
    async with gateway_on(server) as gateway:
        server.kill()
        await eventually(lambda: gateway.limiter.is_away, BACK_S)
        with pytest.raises(RateLimitExceeded, match="this gateway's share") as refused:
            await gateway.limiter.admit(one, 1, OPEN)
        assert not refused.value.is_final
        assert refused.value.retry_after_s is not None


async def test_what_ends_while_redis_is_away_is_settled_when_it_is_back(
    server: RedisServer,
) -> None:
    one = (counter(Kind.CONCURRENT, 1), counter(Kind.DAY, 100))
    async with gateway_on(server) as gateway:
        permit = await gateway.limiter.admit(one, 90, GRAVE)
        server.pause()
        gateway.limiter.settle(permit, 20)
        await eventually(lambda: gateway.limiter.is_away, BACK_S)
        server.resume()
        await back(gateway)
        permit = await gateway.limiter.admit(one, 80, GRAVE)
        assert permit.rates.tokens is not None
        assert permit.rates.tokens.remaining == 0


async def test_an_answer_that_comes_too_late_leaves_nothing_reserved(server: RedisServer) -> None:
    one = (counter(Kind.CONCURRENT, 1),)
    async with gateway_on(server) as gateway:
        server.pause()
        with pytest.raises(SafeguardInactive):  # Redis has the request, and may do it later
            await gateway.limiter.admit(one, 1, GRAVE)
        assert gateway.limiter.is_away
        server.resume()
        await back(gateway)
        with server.client as client:
            await eventually(lambda: client.exists("{watchgate}:c|project|search|") == 0, BACK_S)
        await gateway.limiter.admit(one, 1, GRAVE)


async def test_a_restarted_redis_that_has_forgotten_all_is_joined_again(
    server: RedisServer,
) -> None:
    async with gateway_on(server) as gateway:
        with server.client as client:
            client.flushall()
        with pytest.raises(SafeguardInactive):
            await gateway.limiter.admit(LIMITS, 1, GRAVE)
        await back(gateway)
        await gateway.limiter.admit(LIMITS, 1, GRAVE)


def out_of_memory(client: "redis.Redis") -> Callable[[], Any]:
    client.config_set("maxmemory", 1)
    return lambda: client.config_set("maxmemory", 0)


def read_only(client: "redis.Redis") -> Callable[[], Any]:
    client.slaveof("127.0.0.1", free_port())
    return client.slaveof


def without_rights(client: "redis.Redis") -> Callable[[], Any]:
    client.acl_setuser("default", enabled=True, commands=["-evalsha", "-eval"])
    return lambda: client.acl_setuser("default", enabled=True, commands=["+@all"])


@pytest.mark.parametrize("break_", [out_of_memory, read_only, without_rights])
async def test_a_redis_that_cannot_do_its_part_is_away(
    server: RedisServer, break_: Callable[["redis.Redis"], Callable[[], Any]]
) -> None:
    async with gateway_on(server) as gateway:
        with server.client as client:
            mend = break_(client)
            with pytest.raises(SafeguardInactive):
                await gateway.limiter.admit(LIMITS, 1, GRAVE)
            assert await let_in(gateway, LIMITS, 2) == 2
            assert gateway.meters.limits_shared.total == 2
            mend()
        await back(gateway)
        await gateway.limiter.admit(LIMITS, 1, GRAVE)


async def test_a_redis_that_is_away_at_the_start_keeps_no_gateway_from_starting(
    tmp_path: Path,
) -> None:
    server = RedisServer(tmp_path)
    async with gateway_on(server) as gateway:
        assert gateway.limiter.is_away
        assert await let_in(gateway, LIMITS, 1) == 1
        with server:
            await back(gateway)
            await gateway.limiter.admit(LIMITS, 1, GRAVE)


async def test_gateways_are_not_taken_for_dead_when_redis_itself_was_away(tmp_path: Path) -> None:
    one = (counter(Kind.CONCURRENT, 1),)
    with redis_server(tmp_path, has_own_clock=True) as server:
        async with gateway_on(server) as first, gateway_on(server) as second:
            await first.limiter.admit(one, 1, GRAVE)
            server.pause()
            for gateway in (first, second):
                with pytest.raises(SafeguardInactive):
                    await gateway.limiter.admit(one, 1, GRAVE)
            server.set_clock(100)  # over the lease of 60 s
            server.resume()
            for gateway in (second, first):
                await back(gateway)
            with pytest.raises(RateLimitExceeded):
                await second.limiter.admit(one, 1, GRAVE)
            assert first.meters.reservations_returned.total == 0
            assert second.meters.reservations_returned.total == 0


async def test_what_is_no_redis_is_away() -> None:
    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        async with a_gateway(f"redis://127.0.0.1:{port}", "watchgate", share_tiers=(OPEN,)) as it:
            assert it.limiter.is_away
            assert await let_in(it, LIMITS, 1) == 1


async def test_under_a_flapping_redis_no_slot_is_lost(server: RedisServer) -> None:
    one = (counter(Kind.CONCURRENT, 5), counter(Kind.MONTH, 10_000))
    async with gateway_on(server) as gateway:
        stop, served = asyncio.Event(), 0

        async def calls() -> None:
            nonlocal served
            while not stop.is_set():
                with contextlib.suppress(SafeguardInactive, RateLimitExceeded):
                    permit = await gateway.limiter.admit(one, 10, GRAVE)
                    await asyncio.sleep(0)
                    gateway.limiter.settle(permit, 0)
                    served += 1
                await asyncio.sleep(0)

        tasks = [asyncio.create_task(calls()) for _ in range(8)]
        with server.client as client:
            for _ in range(10):
                enough, connection = served + 50, gateway.limiter._connection
                await eventually(lambda: served > enough, BACK_S)  # noqa: B023  (called at once)
                client.client_kill_filter(_type="normal", skipme=True)
                await eventually(lambda: gateway.limiter._connection > connection, BACK_S)  # noqa: B023
        stop.set()
        await asyncio.gather(*tasks)
        await back(gateway)
        with server.client as client:
            await eventually(lambda: client.exists("{watchgate}:c|project|search|") == 0, BACK_S)
            await eventually(
                lambda: client.hget("{watchgate}:m|project|search|", "total") == "0", BACK_S
            )


def settings_with(folder: Path, **limits: object) -> Settings:
    return Settings.model_validate(
        {
            "data_dir": folder / "var",
            "upstreams": [{"name": "local", "url": "http://127.0.0.1:8000"}],
            "models": [{"name": "m", "upstream": "local", "tier": 1}],
            "limits": limits,
        }
    )


async def admits(folder: Path, **limits: object) -> bool:
    """Say whether a gateway with these settings counts where they say."""
    meters = Meters(Metrics(CollectorRegistry()))
    settings = settings_with(folder, **limits)
    async with limiter_of(settings, meters) as limiter:
        assert isinstance(limiter, RedisLimiter) == isinstance(settings.limits, RedisLimits)
        await _once(limiter)
        return not meters.limits_shared.total


async def _once(limiter: Limiter) -> None:
    limiter.settle(await limiter.admit(LIMITS, 1, OPEN), 1)


async def test_limits_in_memory_are_kept_in_the_data_dir(tmp_path: Path) -> None:
    assert await admits(tmp_path, kind="memory")
    assert (tmp_path / "var" / "limits" / "counts").exists()


async def test_redis_is_reached_with_a_password_a_database_and_by_a_socket(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    secret = secrets.token_hex(8)
    user = (f"{secret}1", "on", f">{secret}2", "~{watchgate}:*", *RIGHTS.split())
    with redis_server(tmp_path / "r", "--requirepass", secret, "--user", *user) as server:
        at = f"127.0.0.1:{server.port}"
        urls = {
            f"redis://:{secret}@{at}": True,
            f"redis://:{secret}@{at}/3": True,
            f"redis://{secret}1:{secret}2@{at}/0": True,
            f"unix://:{secret}@{server.socket}?db=2": True,
            f"redis://:wrong@{at}": False,
            f"redis://{at}": False,
            f"redis://:{secret}@{at}/99": False,
        }
        for url, is_reached in urls.items():
            found = await admits(tmp_path, kind="redis", url=url, gateways=1, timeout_ms=2000)
            assert found == is_reached, url
    assert "WRONGPASS" in caplog.text
    assert secret not in caplog.text


async def test_redis_is_reached_over_tls_and_only_with_a_certificate_that_is_trusted(
    tmp_path: Path,
) -> None:
    made = self_signed(tmp_path, "IP:127.0.0.1")
    port = free_port()
    files = ("--tls-cert-file", str(made.certificate), "--tls-key-file", str(made.key))
    authority = ("--tls-ca-cert-file", str(made.certificate))
    with redis_server(tmp_path / "r", "--tls-port", str(port), *files, *authority):
        given: dict[str, object] = {
            "kind": "redis",
            "url": f"rediss://127.0.0.1:{port}",
            "gateways": 1,
            "timeout_ms": 5000,
        }
        ca, own = (
            {"ca_file": made.certificate},
            {"cert_file": made.certificate, "key_file": made.key},
        )
        assert await admits(tmp_path, **given, **ca, **own)
        assert not await admits(tmp_path, **given, **ca)  # Redis asks for ours
        assert not await admits(tmp_path, **given, **own)  # we do not trust it
