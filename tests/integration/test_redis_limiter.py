"""Limits that several gateways count in one real Redis."""

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core.limits import Counter, Counts, Kind, Refused
from service.errors import BudgetExceeded, RateLimitExceeded
from service.gateway import redis_limiter
from service.gateway.limiter import Permit
from service.gateway.redis_limiter import RedisPermit
from tests.real_parts import limiting
from tests.real_parts.limiting import TIER, OneGateway, a_gateway, counter, three_gateways
from tests.real_parts.loops import on_uvloop
from tests.real_parts.redis import RedisServer, clock_library, redis_server
from tests.real_parts.scripted import eventually
from tests.real_parts.tcp_gate import TcpGate

SCRIPT = (Path(redis_limiter.__file__).parent / "redis_limits.lua").read_text()
SAME_SERVER = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis whose clock can be set: it only goes forward, but for the test of that."""
    with redis_server(tmp_path_factory.mktemp("redis"), has_own_clock=True) as one:
        yield one


@pytest.fixture
def prefix() -> str:
    return secrets.token_hex(4)


class Shift:
    """How far the clock of the module's Redis has been set."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self.seconds = 0

    def forward(self, seconds: int) -> None:
        self.seconds += seconds
        self._server.set_clock(self.seconds)

    def to(self, at: datetime) -> None:
        self.forward(int(at.timestamp() - now_of(self._server)))


@pytest.fixture(scope="module")
def shift(server: RedisServer) -> Shift:
    return Shift(server)


def now_of(server: RedisServer) -> float:
    with server.client as client:
        seconds, micros = client.time()
    return int(seconds) + int(micros) / 1e6


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 1, 20, 59, 60, 61]),  # seconds that pass
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40)), min_size=1, max_size=8),
        st.floats(0, 1.5),  # how much of its bound a request uses
    ),
    min_size=3,
    max_size=12,
)


@SAME_SERVER
@given(steps=STEPS)
def test_three_gateways_never_let_in_more_than_the_limit_in_any_minute(
    server: RedisServer, shift: Shift, steps: list[tuple[int, list[tuple[int, int]], float]]
) -> None:
    @on_uvloop
    async def run() -> None:
        prefix = secrets.token_hex(4)
        requests, tokens = counter(Kind.REQUESTS, 10), counter(Kind.TOKENS, 100)
        concurrent = counter(Kind.CONCURRENT, 6)
        let_in: list[tuple[float, float, int, int]] = []
        """Between which two moments, and how many tokens were reserved and used."""
        async with three_gateways(server.url, prefix) as gateways:
            for passed, asked, part in steps:
                shift.forward(passed)
                before = now_of(server)
                permits = await asyncio.gather(
                    *[
                        gateways[i].try_admit((requests, tokens, concurrent), bound)
                        for i, bound in asked
                    ]
                )
                after = now_of(server)
                good = [
                    (gateways[i], permit)
                    for (i, _), permit in zip(asked, permits, strict=True)
                    if permit
                ]
                assert len(good) <= concurrent.limit
                for gateway, permit in good:
                    used = int(permit.tokens * part)
                    gateway.limiter.settle(permit, used)
                    let_in.append((before, after, permit.tokens, used))
                excess = sum(max(0, used - bound) for *_, bound, used in let_in)
                minute = [it for it in let_in if it[0] >= after - 60]  # surely within it
                assert len(minute) <= requests.limit
                assert sum(used for *_, used in minute) <= tokens.limit + excess
                none = [it for it in let_in if it[1] >= before - 61]  # perhaps still counted
                if not none:
                    first = next((it for it, (_, bound) in zip(permits, asked, strict=True)), None)
                    assert first is not None  # an empty minute has room

    run()


@SAME_SERVER
@given(data=st.data())
def test_redis_decides_as_one_process_does(server: RedisServer, data: st.DataObject) -> None:
    limits = {Kind.REQUESTS: 8, Kind.TOKENS: 90, Kind.CONCURRENT: 4, Kind.DAY: 70, Kind.MONTH: 80}
    request = st.tuples(
        st.sets(st.sampled_from(list(Kind)), min_size=1), st.integers(0, 60), st.integers(0, 70)
    )
    asked = data.draw(st.lists(request, max_size=25))

    @on_uvloop
    async def run() -> None:
        counts, at = Counts(), now_of(server)
        open_: list[tuple[Permit, object, int]] = []
        async with a_gateway(server.url, secrets.token_hex(4)) as gateway:
            for kinds, bound, used in asked:
                counters: tuple[Counter, ...] = tuple(counter(it, limits[it]) for it in kinds)
                ours = counts.admit(counters, bound, at, at)
                permit = await gateway.try_admit(counters, bound)
                if isinstance(ours, Refused):
                    assert permit is None
                    if open_:
                        first, reservation, amount = open_.pop(0)
                        gateway.limiter.settle(first, amount)
                        counts.settle(reservation, amount)  # type: ignore[arg-type]
                    continue
                assert permit is not None
                told = [(r and r.remaining) for r in (permit.rates.requests, permit.rates.tokens)]
                assert told == [
                    (r and r.remaining) for r in (ours.rates.requests, ours.rates.tokens)
                ]
                open_.append((permit, ours, used))

    run()


async def test_the_429_names_the_limit_and_when_there_is_room_again(
    server: RedisServer, shift: Shift, prefix: str
) -> None:
    one = (counter(Kind.REQUESTS, 2), counter(Kind.TOKENS, 100))
    async with a_gateway(server.url, prefix) as gateway:
        started = now_of(server)
        for _ in range(2):
            await gateway.limiter.admit(one, 10, TIER)
        shift.forward(40)
        with pytest.raises(
            RateLimitExceeded, match="2 requests a minute of project 'search'"
        ) as it:
            await gateway.limiter.admit(one, 10, TIER)
        wait_s = it.value.retry_after_s
        assert wait_s is not None
        assert int(started) + 61 <= round(now_of(server) + wait_s, 1) <= int(started) + 63
        headers = dict(it.value.headers)
        assert headers[b"x-ratelimit-limit-requests"] == b"2"
        assert headers[b"x-ratelimit-remaining-requests"] == b"0"
        shift.forward(int(wait_s) + 1)
        permit = await gateway.limiter.admit(one, 10, TIER)
        assert permit.rates.requests is not None
        assert permit.rates.requests.remaining in {0, 1}


async def test_a_redis_whose_clock_is_set_back_goes_on_counting(
    tmp_path: Path, prefix: str
) -> None:
    one = (counter(Kind.REQUESTS, 1), counter(Kind.DAY, 1000))
    with redis_server(tmp_path, has_own_clock=True) as server:
        async with a_gateway(server.url, prefix) as gateway:
            await gateway.limiter.admit(one, 10, TIER)
            server.set_clock(-3600)
            with pytest.raises(RateLimitExceeded) as refused:
                await gateway.limiter.admit(one, 10, TIER)
            assert refused.value.retry_after_s is not None
            assert 50 < refused.value.retry_after_s <= 61  # not an hour more
            server.set_clock(-3600 + 62)
            await gateway.limiter.admit(one, 10, TIER)


async def test_days_and_months_start_at_midnight_in_utc(
    server: RedisServer, shift: Shift, prefix: str
) -> None:
    both = (counter(Kind.DAY, 10), counter(Kind.MONTH, 15))
    year = datetime.fromtimestamp(now_of(server), UTC).year + 1
    async with a_gateway(server.url, prefix) as gateway:
        shift.to(datetime(year, 2, 28, 12, tzinfo=UTC))
        last = await gateway.limiter.admit(both, 10, TIER)
        with pytest.raises(BudgetExceeded) as refused:
            await gateway.limiter.admit(both, 1, TIER)
        assert refused.value.retry_after_s == pytest.approx(43_200, abs=60)
        shift.to(datetime(year, 3, 1, 0, 0, 30, tzinfo=UTC))
        await gateway.limiter.admit(both, 10, TIER)
        gateway.limiter.settle(last, 0)  # of a day that is over
        await settled([gateway])
        with pytest.raises(BudgetExceeded):
            await gateway.limiter.admit(both, 1, TIER)
        shift.to(datetime(year, 3, 31, 23, 59, tzinfo=UTC))
        with pytest.raises(BudgetExceeded, match="15 tokens a month") as refused:
            await gateway.limiter.admit(both, 10, TIER)
        assert refused.value.retry_after_s == pytest.approx(60, abs=30)
        shift.to(datetime(year, 4, 1, 0, 0, 30, tzinfo=UTC))
        await gateway.limiter.admit(both, 10, TIER)


def child(url: str, prefix: str, *numbers: int, **environment: str) -> "subprocess.Popen[str]":
    words = [str(number) for number in numbers]
    return subprocess.Popen(
        [sys.executable, limiting.__file__, url, prefix, *words],
        env={**os.environ, "PYTHONPATH": str(Path.cwd()), **environment},
        stdout=subprocess.PIPE,
        text=True,
    )


def answer_of(process: "subprocess.Popen[str]") -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


@contextlib.contextmanager
def killed_in_the_end(
    processes: "list[subprocess.Popen[str]]",
) -> "Iterator[list[subprocess.Popen[str]]]":
    try:
        yield processes
    finally:
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.wait()
            if process.stdout:
                process.stdout.close()


async def test_gateways_with_skewed_clocks_share_one_limit(
    server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    library = str(clock_library(tmp_path))
    clocks = [tmp_path / str(n) for n in range(3)]
    for clock, seconds in zip(clocks, (-3600, 0, 100_000), strict=True):
        clock.write_text(str(seconds))
    children = [
        child(server.url, prefix, 40, 50, 1, LD_PRELOAD=library, CLOCK_SHIFT=str(clock))
        for clock in clocks
    ]
    with killed_in_the_end(children):
        counts = await asyncio.gather(*[asyncio.to_thread(answer_of, it) for it in children])
    assert sum(counts) == 50


async def test_what_a_killed_gateway_has_reserved_comes_back_once(
    server: RedisServer, prefix: str
) -> None:
    limit, slots = 100, (counter(Kind.CONCURRENT, 100),)
    with killed_in_the_end([child(server.url, prefix, 7, limit, 10)]) as (process,):
        assert await asyncio.to_thread(answer_of, process) == 7
        process.send_signal(signal.SIGKILL)
        process.wait()
        async with three_gateways(server.url, prefix, lease_s=1.0) as gateways:
            await eventually(lambda: returned(gateways) == 7, 30)
            tokens = (counter(Kind.TOKENS, limit),)
            assert await gateways[0].try_admit(tokens, 31) is None  # the window still holds 70
            permit = await gateways[0].limiter.admit((counter(Kind.DAY, limit),), 100, TIER)
            gateways[0].limiter.settle(permit, 0)
            permits = await asyncio.gather(
                *[gateways[i % 3].try_admit(slots, 0) for i in range(120)]
            )
            assert sum(it is not None for it in permits) == 100
            assert returned(gateways) == 7


def returned(gateways: list[OneGateway]) -> int:
    return sum(it.meters.reservations_returned.total for it in gateways)


async def test_a_gateway_that_was_only_cut_off_still_settles_what_was_used(
    server: RedisServer, prefix: str
) -> None:
    port = server.port
    relay = TcpGate(("127.0.0.2", port), ("127.0.0.1", port))
    relay.open()
    both = (counter(Kind.DAY, 100), counter(Kind.CONCURRENT, 1))
    url = f"redis://127.0.0.2:{port}"
    async with (
        a_gateway(url, prefix, lease_s=1.0) as cut_off,
        a_gateway(server.url, prefix, lease_s=1.0) as other,
    ):
        permit = await cut_off.limiter.admit(both, 100, TIER)
        relay.shut()
        await eventually(lambda: returned([other]) == 1, 30)
        other.limiter.settle(await other.limiter.admit(both, 100, TIER), 0)
        cut_off.limiter.settle(permit, 60)
        slot = await other.limiter.admit(both[1:], 0, TIER)
        relay.open()
        await eventually(lambda: not cut_off.limiter.is_away, 30)
        await settled([cut_off])
        assert await other.try_admit(both[1:], 0) is None  # the place is the other's now
        other.limiter.settle(slot, 0)
        assert await other.try_admit(both, 41) is None
        assert await other.try_admit(both, 40) is not None
    relay.shut()


async def test_requests_that_are_given_up_while_they_wait_leave_nothing_reserved(
    server: RedisServer, prefix: str
) -> None:
    both = (counter(Kind.CONCURRENT, 1000), counter(Kind.TOKENS, 10_000))
    async with a_gateway(server.url, prefix) as gateway:
        for rounds in range(20):
            tasks = [asyncio.create_task(gateway.try_admit(both, 10)) for _ in range(5)]
            for _ in range(rounds % 7):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            for done in await asyncio.gather(*tasks, return_exceptions=True):
                if done is not None and not isinstance(done, BaseException):
                    gateway.limiter.settle(done, 0)
        with server.client as client:
            await eventually(lambda: client.exists(f"{{{prefix}}}:c|project|search|") == 0)
        permit = await gateway.limiter.admit(both, 10_000, TIER)
        gateway.limiter.settle(permit, 0)


async def test_one_script_a_request_and_one_that_nobody_waits_for(
    tmp_path: Path, prefix: str
) -> None:
    many = tuple(counter(kind, 1000, subject) for kind in Kind for subject in ("a", "b"))
    with redis_server(tmp_path) as server, server.client as client:
        async with a_gateway(server.url, prefix) as gateway:
            client.config_resetstat()
            permits = [await gateway.limiter.admit(many, 1, TIER) for _ in range(20)]
            assert client.info("commandstats")["cmdstat_evalsha"]["calls"] in {20, 21}  # a beat
            for permit in permits:
                gateway.limiter.settle(permit, 1)
        stats = client.info("commandstats")
        assert stats["cmdstat_evalsha"]["calls"] <= 42
        assert not any(client.ttl(key) < 0 for key in client.scan_iter())  # all keys expire
        assert client.zcard(f"{{{prefix}}}:gateways") == 0  # it left


async def test_scripts_that_were_flushed_are_sent_again(server: RedisServer, prefix: str) -> None:
    one = (counter(Kind.CONCURRENT, 1),)
    async with a_gateway(server.url, prefix) as gateway:
        with server.client as client:
            client.script_flush()
            permit = await gateway.limiter.admit(one, 0, TIER)
            client.script_flush()
            gateway.limiter.settle(permit, 0)
            client.script_flush()
        await gateway.limiter.admit(one, 0, TIER)


@pytest.mark.parametrize("kind", [Kind.TOKENS, Kind.DAY, Kind.CONCURRENT])
async def test_a_settlement_that_is_sent_again_counts_once(
    server: RedisServer, prefix: str, kind: Kind
) -> None:
    one, each = (counter(kind, 100),), 1 if kind is Kind.CONCURRENT else 30
    async with a_gateway(server.url, prefix) as gateway:
        permits = [await gateway.limiter.admit(one, 30, TIER) for _ in range(3)]
        assert isinstance(permits[0], RedisPermit)
        arguments = gateway.limiter._script.settle(1, permits[0].id, 0)
        with server.client as client:
            for _ in range(3):
                client.eval(SCRIPT, *arguments)
            left = (
                client.hget(key(prefix, kind), "total")
                if each > 1
                else client.get(key(prefix, kind))
            )
        assert left == str(2 * each)
        gateway.limiter.settle(permits[0], 0)


@pytest.mark.parametrize("kind", [Kind.TOKENS, Kind.DAY])
async def test_refunds_never_lift_a_balance_over_its_cap(
    server: RedisServer, prefix: str, kind: Kind
) -> None:
    one = (counter(kind, 100),)
    async with three_gateways(server.url, prefix) as gateways:
        permits = [await it.limiter.admit(one, 30, TIER) for it in gateways]
        with server.client as client:
            client.delete(key(prefix, kind))  # as if Redis had lost it
        await gateways[0].limiter.admit(one, 10, TIER)
        for gateway, permit in zip(gateways, permits, strict=True):
            gateway.limiter.settle(permit, -50)
        await settled(gateways)
        rates = (await gateways[0].limiter.admit(one, 0, TIER)).rates
        assert rates.tokens is not None
        assert rates.tokens.remaining <= 100


def key(prefix: str, kind: Kind) -> str:
    return f"{{{prefix}}}:{counter(kind, 0).id}"


async def settled(gateways: list[OneGateway]) -> None:
    await eventually(lambda: not any(it.limiter._unsettled for it in gateways))
