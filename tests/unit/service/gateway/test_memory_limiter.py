"""Limits counted in one process, over its restarts."""

import asyncio
import json
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from service.core.directory import Scope
from service.core.limits import NO_COUNTERS, Counter, Counters, Counts, Kind, Reservation
from service.errors import AlreadyRunning, BudgetExceeded, LimitReached, RateLimitExceeded
from service.gateway.limiter import Permit, in_words, rate_headers
from service.gateway.memory_limiter import MemoryLimiter
from service.gateway.memory_limits_file import CountsFile, kept_counts
from service.gateway.meters import Meters
from service.telemetry.metrics import Metrics
from tests.real_parts.scripted import eventually

NOON = 1_795_780_800.0
BOTH = (
    Counter.of(Kind.REQUESTS, Scope.PROJECT, "search", "m", 2),
    Counter.of(Kind.DAY, Scope.KEY, "key_1", "", 1000),
)


class Clock:
    """Both clocks of a limiter, in step."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def ticks(self) -> float:
        return self.passed_s

    def at(self) -> float:
        return NOON + self.passed_s


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def meters(registry: CollectorRegistry) -> Meters:
    return Meters(Metrics(registry))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(meters: Meters, clock: Clock) -> MemoryLimiter:
    return MemoryLimiter(meters, ticks=clock.ticks, clock=clock.at)


async def refusal(limiter: MemoryLimiter, counters: Counters, tokens: int) -> LimitReached:
    with pytest.raises(LimitReached) as caught:
        await limiter.admit(counters, tokens, 1)
    return caught.value


async def test_the_429_names_the_limit_and_when_there_is_room_again(
    limiter: MemoryLimiter, clock: Clock
) -> None:
    for _ in range(2):
        await limiter.admit(BOTH, 10, 1)
    clock.passed_s = 49.5
    error = await refusal(limiter, BOTH, 10)
    assert isinstance(error, RateLimitExceeded)
    assert str(error) == (
        "The limit of 2 requests a minute of project 'search' for model 'm' is reached: "
        "try again in 12 s."
    )
    assert error.retry_after_s == 11.5
    assert dict(error.headers) == {
        b"x-ratelimit-limit-requests": b"2",
        b"x-ratelimit-remaining-requests": b"0",
        b"x-ratelimit-reset-requests": b"11.5s",
    }
    clock.passed_s += error.retry_after_s
    await limiter.admit(BOTH, 10, 1)


async def test_a_budget_that_is_used_up_is_told_as_such(limiter: MemoryLimiter) -> None:
    limiter.settle(await limiter.admit(BOTH, 900, 1), 800)
    error = await refusal(limiter, BOTH, 201)
    assert isinstance(error, BudgetExceeded)
    assert str(error) == (
        "The limit of 1000 tokens a day of this key has no room for a request that may take up to "
        "201 tokens: try again in 12 hours, or with a lower max_tokens."
    )
    assert dict(error.headers)[b"x-ratelimit-remaining-tokens"] == b"200"
    assert dict(error.headers)[b"x-ratelimit-reset-tokens"] == b"12h0m0s"
    await limiter.admit(BOTH, 200, 1)


async def test_what_can_never_fit_is_refused_for_good(limiter: MemoryLimiter) -> None:
    error = await refusal(limiter, BOTH, 1001)
    assert (error.is_final, error.retry_after_s) == (True, None)
    assert "set a lower max_tokens" in str(error)


async def test_requests_at_once_make_room_when_they_end(limiter: MemoryLimiter) -> None:
    one = (Counter.of(Kind.CONCURRENT, Scope.END_USER, "search/secret", "", 1),)
    permit = await limiter.admit(one, 10, 1)
    error = await refusal(limiter, one, 10)
    assert "1 requests at once of this end user is reached" in str(error)
    assert "secret" not in str(error)
    assert error.retry_after_s == 1.0
    limiter.settle(permit, None)
    limiter.settle(permit, None)
    await limiter.admit(one, 10, 1)
    await refusal(limiter, one, 10)


async def test_under_no_limit_there_is_nothing_to_tell(limiter: MemoryLimiter) -> None:
    permit = await limiter.admit(NO_COUNTERS, 10, 1)
    assert rate_headers(permit) == []
    limiter.settle(permit, 10)


async def test_refusals_are_counted_by_kind(
    limiter: MemoryLimiter, meters: Meters, registry: CollectorRegistry
) -> None:
    await refusal(limiter, BOTH, 1001)
    meters.flush()
    name = "watchgate_rate_limited_total"
    assert registry.get_sample_value(name, {"kind": "day"}) == 1
    assert registry.get_sample_value(name, {"kind": "requests"}) == 0


async def test_concurrent_requests_never_get_more_than_the_limit(limiter: MemoryLimiter) -> None:
    many = (Counter.of(Kind.TOKENS, Scope.PROJECT, "search", "", 1000),)

    async def one() -> bool:
        try:
            permit = await limiter.admit(many, 30, 1)
        except RateLimitExceeded:
            return False
        await asyncio.sleep(0)
        limiter.settle(permit, 20)
        return True

    let_in = sum(await asyncio.gather(*[one() for _ in range(200)]))
    assert let_in * 20 <= 1000


async def count_and_stop(folder: Path, clock: Clock, meters: Meters, tokens: int) -> Permit:
    async with kept_counts(folder, clock.ticks, clock.at) as (counts, ticks):
        limiter = MemoryLimiter(meters, counts, ticks=ticks, clock=clock.at)
        permit = await limiter.admit(BOTH, tokens, 1)
        limiter.settle(permit, tokens)
        return permit


async def test_a_restart_forgets_neither_windows_nor_budgets(
    tmp_path: Path, clock: Clock, meters: Meters
) -> None:
    await count_and_stop(tmp_path, clock, meters, 100)
    clock.passed_s = 20.0
    permit = await count_and_stop(tmp_path, clock, meters, 100)
    assert permit.rates.requests is not None
    assert permit.rates.tokens is not None
    assert permit.rates.requests.remaining == 0
    assert permit.rates.tokens.remaining == 800
    with pytest.raises(RateLimitExceeded) as caught:
        await count_and_stop(tmp_path, clock, meters, 100)
    assert caught.value.retry_after_s == 41.0
    clock.passed_s = 61.0
    await count_and_stop(tmp_path, clock, meters, 100)


async def test_a_restart_gives_back_what_a_crash_left_reserved(
    tmp_path: Path, clock: Clock
) -> None:
    counts = Counts()
    assert isinstance(counts.admit(BOTH, 900, 0.0, NOON), Reservation)
    CountsFile(tmp_path).save(counts, 0.0, NOON)
    async with kept_counts(tmp_path, clock.ticks, clock.at) as (after, ticks):
        found = after.admit(BOTH, 900, ticks(), NOON)
        assert isinstance(found, Reservation)


async def test_while_it_runs_the_file_is_kept_up_to_date(
    tmp_path: Path, clock: Clock, meters: Meters
) -> None:
    async with kept_counts(tmp_path, clock.ticks, clock.at) as (counts, ticks):
        limiter = MemoryLimiter(meters, counts, ticks=ticks, clock=clock.at)
        await limiter.admit(BOTH, 10, 1)
        await eventually(lambda: not counts.is_changed and (tmp_path / "counts").exists())
        lines = [json.loads(line) for line in (tmp_path / "counts").read_text().splitlines()]
        assert {it["id"] for it in lines[1:]} == {it.id for it in BOTH}
    assert (tmp_path / "counts").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"{}", b'{"version": 2}', b"\xff\n", b"[1]\n{"])
async def test_a_damaged_file_is_put_aside_and_counting_starts_anew(
    tmp_path: Path, content: bytes, clock: Clock, meters: Meters
) -> None:
    (tmp_path / "counts").write_bytes(content)
    await count_and_stop(tmp_path, clock, meters, 100)
    assert (tmp_path / "counts.damaged").read_bytes() == content


async def test_two_processes_cannot_count_in_one_folder(tmp_path: Path) -> None:
    async with kept_counts(tmp_path):
        with pytest.raises(AlreadyRunning, match="several need a Redis"):
            async with kept_counts(tmp_path):
                pass
    async with kept_counts(tmp_path):
        pass


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (12.0, "12 s"), (120.0, "120 s"), (121.0, "3 minutes"), (86400, "24 hours")],
)
def test_a_time_is_told_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
