"""What limits cost: CPU-microseconds of one request, admitted and settled.

    python -m load_tests.bench_limits

In memory: the limiter alone, over many subjects, in turns so that none is warm. In Redis: a real
redis-server on this machine over its TCP port, 16 requests at once; CPU of the gateway's process
and of Redis, beside redis-py's asyncio client making the same calls, with how many scripts ran.
The least of several rounds; CPU time is that of the process.
"""

import argparse
import asyncio
import gc
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import redis.asyncio
import uvloop
from prometheus_client import CollectorRegistry

from service.core.directory import Scope
from service.core.limits import Counter, Counters, Kind
from service.gateway.limiter import Limiter
from service.gateway.memory_limiter import MemoryLimiter
from service.gateway.meters import Meters
from service.gateway.redis_limiter import RedisLimiter, RedisTerms
from service.gateway.redis_link import RedisAddress
from service.gateway.redis_script import LimitsScript
from service.telemetry.metrics import Metrics
from tests.real_parts.redis import RedisServer, redis_server

COUNTS: Final = (1, 5, 12)
"""So many limits a request is under: one; all of a project; those of project, key, organisation."""
SUBJECTS: Final = 1_000
IN_MEMORY: Final = 20_000
IN_REDIS: Final = 4_000
AT_ONCE: Final = 16
_ROOM: Final = 10**12
_SCOPES: Final = (Scope.PROJECT, Scope.KEY, Scope.ORGANISATION)

Row = dict[str, float]


def counters(count: int, subject: str) -> Counters:
    """Return so many limits that always have room."""
    kinds = list(Kind)
    return tuple(
        Counter.of(kinds[i % len(kinds)], _SCOPES[i // len(kinds)], subject, "", _ROOM)
        for i in range(count)
    )


def all_counters(count: int) -> Iterator[Counters]:
    """Go round the subjects for ever."""
    return cycle([counters(count, f"subject-{n}") for n in range(SUBJECTS)])


def new_meters() -> Meters:
    """Return meters that nobody reads."""
    return Meters(Metrics(CollectorRegistry()))


async def one_by_one(limiter: Limiter, each: Iterator[Counters], requests: int) -> None:
    """Admit and settle, one request after the other."""
    for _ in range(requests):
        limiter.settle(await limiter.admit(next(each), 1_000, 1), 300)


async def memory_us(count: int, rounds: int) -> Row:
    """Return the least CPU-microseconds of a request in memory."""
    limiter, each = MemoryLimiter(new_meters()), all_counters(count)
    least = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        await one_by_one(limiter, each, IN_MEMORY)
        least = min(least, (time.process_time() - started) / IN_MEMORY)
    return {"gateway_us": round(least * 1e6, 1)}


@asynccontextmanager
async def ours(server: RedisServer, count: int) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Give one request of the gateway's limiter."""
    terms = RedisTerms(RedisAddress.of(server.url), "ours", 5.0, 60.0, 1, ())
    limiter, each = RedisLimiter(terms, new_meters(), "bench"), all_counters(count)

    async def request() -> None:
        await one_by_one(limiter, each, 1)

    async with limiter.connected():
        yield request


@asynccontextmanager
async def redis_py(server: RedisServer, count: int) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Give the same calls through redis-py's asyncio client."""
    script, each, permits = (
        LimitsScript("redis-py", "bench"),
        all_counters(count),
        cycle(range(10**9)),
    )
    text = (Path(__file__).parents[1] / "service/gateway/redis_limits.lua").read_text()
    pool = redis.asyncio.BlockingConnectionPool(port=server.port, max_connections=AT_ONCE)
    async with redis.asyncio.Redis(connection_pool=pool) as client:
        sha = await client.script_load(text)
        await client.evalsha(sha, *script.join(1))

        async def request() -> None:
            permit = str(next(permits))
            await client.evalsha(sha, *script.admit(1, permit, next(each), 1_000))
            await client.evalsha(sha, *script.settle(1, permit, 300))

        yield request


async def redis_us(server: RedisServer, client: Any, count: int, rounds: int) -> Row:  # noqa: ANN401  (one of two)
    """Return the least CPU-microseconds of a request, here and in Redis, and scripts run for it."""
    best: Row = {}
    async with client(server, count) as request:
        for _ in range(rounds):
            row = await _round(server, request)
            best = {name: min(value, best.get(name, value)) for name, value in row.items()}
    return {name: round(value, 1) for name, value in best.items()}


async def _round(server: RedisServer, request: Callable[[], Awaitable[None]]) -> Row:
    async def some() -> None:
        for _ in range(IN_REDIS // AT_ONCE):
            await request()

    with server.client as look:
        cpu_s, scripts = _redis_cpu_s(look), _scripts(look)
        started = time.process_time()
        await asyncio.gather(*[some() for _ in range(AT_ONCE)])
        ours_s = time.process_time() - started
        await asyncio.sleep(0.2)  # for the last settlements
        return {
            "gateway_us": ours_s / IN_REDIS * 1e6,
            "redis_us": (_redis_cpu_s(look) - cpu_s) / IN_REDIS * 1e6,
            "scripts": (_scripts(look) - scripts) / IN_REDIS,
        }


def _redis_cpu_s(look: Any) -> float:  # noqa: ANN401  (redis-py's answers have no types)
    cpu = look.info("cpu")
    return float(cpu["used_cpu_user"] + cpu["used_cpu_sys"])


def _scripts(look: Any) -> int:  # noqa: ANN401  (as above)
    return int(look.info("commandstats")["cmdstat_evalsha"]["calls"])


async def measure(server: RedisServer, rounds: int) -> Mapping[str, Row]:
    """Return a row for each case."""
    found: dict[str, Row] = {}
    for count in COUNTS:
        found[f"memory, {count} limits"] = await memory_us(count, rounds)
    for name, client in (("redis", ours), ("redis-py", redis_py)):
        for count in COUNTS:
            found[f"{name}, {count} limits"] = await redis_us(server, client, count, rounds)
    return found


def main() -> int:
    """Measure and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    args = parser.parse_args()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)  # as a gateway does
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server:
        found = uvloop.run(measure(server, args.rounds))
    if args.json:
        print(json.dumps(found))
        return 0
    print(f"{'of one request':24} {'gateway, CPU-µs':>16} {'Redis, CPU-µs':>14} {'scripts':>8}")
    for case, row in found.items():
        words = [f"{row[name]:.1f}" if name in row else "" for name in ("redis_us", "scripts")]
        print(f"{case:24} {row['gateway_us']:16.1f} {words[0]:>14} {words[1]:>8}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
