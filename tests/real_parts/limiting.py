"""Gateways' limiters on a Redis, and a process of its own that is one: python limiting.py URL …."""

import asyncio
import contextlib
import secrets
import sys
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

import uvloop
from prometheus_client import CollectorRegistry

from service.core.directory import Scope
from service.core.limits import Counter, Counters, Kind
from service.errors import LimitReached
from service.gateway.limiter import Permit
from service.gateway.meters import Meters
from service.gateway.redis_limiter import RedisLimiter, RedisTerms
from service.gateway.redis_link import RedisAddress
from service.telemetry.metrics import Metrics

TIER = 2


def counter(kind: Kind, limit: int, subject: str = "search") -> Counter:
    return Counter.of(kind, Scope.PROJECT, subject, "", limit)


@dataclass(frozen=True)
class OneGateway:
    """A limiter with its meters."""

    limiter: RedisLimiter
    meters: Meters

    async def try_admit(self, counters: Counters, tokens: int) -> Permit | None:
        """Return a permit, or None where a limit is reached."""
        try:
            return await self.limiter.admit(counters, tokens, TIER)
        except LimitReached:
            return None


@contextlib.asynccontextmanager
async def a_gateway(  # noqa: PLR0913  (what a test may choose)
    url: str,
    prefix: str,
    *,
    lease_s: float = 60.0,
    timeout_s: float = 5.0,
    gateways: int = 3,
    share_tiers: Collection[int] = (),
) -> AsyncIterator[OneGateway]:
    """Give a connected limiter of a gateway of its own."""
    meters = Meters(Metrics(CollectorRegistry()))
    terms = RedisTerms(
        address=RedisAddress.of(url),
        prefix=prefix,
        timeout_s=timeout_s,
        lease_s=lease_s,
        gateways=gateways,
        share_tiers=share_tiers,
    )
    limiter = RedisLimiter(terms, meters, secrets.token_hex(8))
    async with limiter.connected():
        yield OneGateway(limiter, meters)


@contextlib.asynccontextmanager
async def three_gateways(
    url: str, prefix: str, *, lease_s: float = 60.0
) -> AsyncIterator[list[OneGateway]]:
    """Give three connected limiters."""
    async with contextlib.AsyncExitStack() as stack:
        many = [a_gateway(url, prefix, lease_s=lease_s) for _ in range(3)]
        yield [await stack.enter_async_context(one) for one in many]


async def reserve_and_wait(url: str, prefix: str, requests: int, limit: int, tokens: int) -> None:
    """Ask for so many requests at once, say how many were let in, and settle none of them."""
    counters = (
        counter(Kind.TOKENS, limit),
        counter(Kind.CONCURRENT, limit),
        counter(Kind.DAY, limit),
    )
    async with a_gateway(url, prefix, lease_s=1.0) as one:
        permits = await asyncio.gather(*[one.try_admit(counters, tokens) for _ in range(requests)])
        print(sum(permit is not None for permit in permits), flush=True)  # noqa: T201  (its answer)
        await asyncio.Event().wait()


if __name__ == "__main__":
    _, _url, _prefix, *_numbers = sys.argv
    uvloop.run(reserve_and_wait(_url, _prefix, *map(int, _numbers)))
