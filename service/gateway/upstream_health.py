"""Asks each replica's /health, so that one that went or came back is known without a request."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Final

from service.core.balancing import Fault
from service.errors import UpstreamError
from service.gateway.balancer import FIRST_SERVER_ERROR, Replica
from service.gateway.upstream import UpstreamClient

_MAX_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """Checks one replica, over a connection of its own: the others may all be busy."""

    replica: Replica
    client: UpstreamClient
    interval_s: float

    async def run(self) -> None:
        """Check for ever: at once, and then after each interval."""
        while True:
            await self.check()
            await asyncio.sleep(self.interval_s)

    async def check(self) -> None:
        """Check once. Any answer below 500 is good: not every server of this API has /health."""
        try:
            answer = await self.client.send(b"GET", b"/health", (), b"")
            await answer.read_all(_MAX_BYTES)
        except UpstreamError:
            self.replica.fail(Fault.HEALTH)
            return
        if answer.status < FIRST_SERVER_ERROR:
            self.replica.check_passed()
        else:
            self.replica.fail(Fault.HEALTH)


@contextlib.asynccontextmanager
async def checking(checks: Iterable[HealthCheck]) -> AsyncIterator[None]:
    """Run the checks until the block ends."""
    checks = list(checks)
    tasks = [asyncio.create_task(check.run()) for check in checks]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for check in checks:
            await check.client.close()
