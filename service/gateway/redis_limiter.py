"""Limits counted in one Redis by many gateways."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from functools import partial
from typing import Final, Self

import hiredis
import msgspec

from service.core.limits import Counters, Rates
from service.errors import LimitReached, SafeguardInactive
from service.gateway import redis_script as script
from service.gateway.limiter import NO_PERMIT, Permit, refuse
from service.gateway.memory_limiter import MemoryLimiter
from service.gateway.meters import Meters
from service.gateway.redis_link import RedisAddress, RedisAway, RedisLink, Reply

_log = logging.getLogger(__name__)
_BEATS_IN_A_LEASE: Final = 6
_FIRST_WAIT_S: Final = 0.05
_LONGEST_WAIT_S: Final = 1.0
_RETRY_AWAY_S: Final = 5.0
_SHARE: Final = "That is this gateway's share of the limit, while the limits' store is away."
_AWAY: Final = "The rate limits cannot be counted now, and this model is not served without them."


@dataclass(frozen=True, slots=True)
class RedisTerms:
    """How a gateway uses Redis."""

    address: RedisAddress
    prefix: str
    timeout_s: float
    lease_s: float
    """What a gateway that was silent for so long has reserved is given back."""
    gateways: int
    """So many processes share the limits while Redis is away."""
    share_tiers: Collection[int]
    """Tiers that are served by shares then; others are refused."""
    tls: ssl.SSLContext | None = None


class RedisPermit(msgspec.Struct):
    """What one request holds in Redis."""

    id: str
    tokens: int
    rates: Rates
    is_open: bool = True


class RedisLimiter:
    """A `Limiter` of one gateway process among many. `connected` keeps it connected."""

    def __init__(self, terms: RedisTerms, meters: Meters, gateway_id: str) -> None:
        """Be away until `connected`; `gateway_id` is this process's alone, for ever."""
        self._terms = terms
        self._meters = meters
        self._script = script.LimitsScript(terms.prefix, gateway_id)
        self._share = MemoryLimiter(meters)
        self._link: RedisLink | None = None
        self._connection = 0
        self._permits = 0
        self._said = ""
        self._unsettled: dict[str, int | None] = {}
        """Settlements that Redis has not acknowledged, oldest first; each may be sent again."""

    @property
    def is_away(self) -> bool:
        """Say whether Redis cannot be asked now."""
        return self._link is None or self._link.lost.done()

    async def admit(self, counters: Counters, tokens: int, tier: int) -> Permit:
        """Let a request in, in one round trip; see `Limiter`."""
        if not counters:
            return NO_PERMIT
        link = self._link
        if link is None:
            return self._without_redis(counters, tokens, tier)
        self._permits += 1
        permit_id = str(self._permits)
        reply = await self._ask(link, permit_id, counters, tokens)
        if script.is_admitted(reply):
            return RedisPermit(permit_id, tokens, script.rates_in(counters, reply))
        if script.is_refused(reply):
            refused = script.refused_in(counters, tokens, reply)
            self._meters.limited[refused.counter.kind].total += 1
            refuse(refused, tokens)
        link.abort()  # if it is not gone: it has to join again, or Redis cannot do its part
        return self._without_redis(counters, tokens, tier)

    def settle(self, permit: Permit, tokens: int | None) -> None:
        """Note the end of a request; see `Limiter`. Redis is told until it has acknowledged it."""
        if not isinstance(permit, RedisPermit):
            self._share.settle(permit, tokens)
        elif permit.is_open:
            permit.is_open = False
            self._settle(permit.id, tokens)

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Self]:
        """Stay connected until the block ends, then leave with everything settled."""
        first = asyncio.Event()
        keeping = asyncio.create_task(self._keep(first))
        try:
            await first.wait()
            yield self
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await self._leave()

    async def _ask(self, link: RedisLink, permit_id: str, counters: Counters, tokens: int) -> Reply:
        waiter: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        arguments = self._script.admit(self._connection, permit_id, counters, tokens)
        script.run(link, arguments, partial(self._deliver, permit_id, waiter))
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled() and script.is_admitted(waiter.result()):
                self._settle(permit_id, 0)  # the answer was there, and nobody to take it
            raise

    def _deliver(self, permit_id: str, waiter: asyncio.Future[Reply], reply: Reply) -> None:
        """Give an answer to who waits; what nobody waits for is settled."""
        if isinstance(reply, RedisAway):
            self._unsettled[permit_id] = 0  # it may have been let in
        elif waiter.cancelled() and script.is_admitted(reply):
            self._settle(permit_id, 0)
        if not waiter.done():
            waiter.set_result(reply)

    def _settle(self, permit_id: str, tokens: int | None) -> None:
        self._unsettled[permit_id] = tokens
        if self._link is not None:
            self._send_settlement(self._link, permit_id, tokens)

    def _send_settlement(self, link: RedisLink, permit_id: str, tokens: int | None) -> None:
        arguments = self._script.settle(self._connection, permit_id, tokens)
        script.run(link, arguments, partial(self._settled, link, permit_id))

    def _settled(self, link: RedisLink, permit_id: str, reply: Reply) -> None:
        if isinstance(reply, int):
            self._unsettled.pop(permit_id, None)
        else:  # it will be sent again on the next connection
            link.abort()

    def _without_redis(self, counters: Counters, tokens: int, tier: int) -> Permit:
        """Let a request in by this gateway's share of each limit, if the tier may.

        Raises:
            SafeguardInactive, RateLimitExceeded, BudgetExceeded: it may not, or there is no room.
        """
        if tier not in self._terms.share_tiers:
            self._meters.limits_refused.total += 1
            raise SafeguardInactive(_AWAY)
        self._meters.limits_shared.total += 1
        shares = tuple([it.share(self._terms.gateways) for it in counters])
        try:
            return self._share.admit_now(shares, tokens)
        except LimitReached as error:
            if error.is_final:  # by the share: the whole limit may have room
                raise type(error)(
                    f"{error} {_SHARE}", retry_after_s=_RETRY_AWAY_S, headers=error.headers
                ) from None
            raise

    async def _keep(self, first: asyncio.Event) -> None:
        """Connect, beat until the connection is lost, and again; `first` is set after one try."""
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                link = await self._connect()
                first.set()
                wait_s = _FIRST_WAIT_S
                await self._beat(link)
            except Exception as error:  # noqa: BLE001  (whatever it is, it is tried again)
                self._say(f"the limits cannot be counted in Redis: {_reason(error)}")
            first.set()
            self._link = None
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    async def _connect(self) -> RedisLink:
        terms = self._terms
        link = await RedisLink.open(terms.address, terms.timeout_s, terms.tls)
        self._connection += 1
        try:
            await script.call(link, self._script.join(self._connection))
        except BaseException:
            link.abort()
            raise
        for permit_id, tokens in list(self._unsettled.items()):
            self._send_settlement(link, permit_id, tokens)
        self._link = link
        self._said = ""
        _log.info("the limits are counted in Redis")
        return link

    def _say(self, words: str) -> None:
        """Warn, of the same once."""
        if words != self._said:
            self._said = words
            _log.warning(words)

    async def _beat(self, link: RedisLink) -> None:
        """Give signs of life, and give back what silent gateways have reserved, until it is lost.

        Raises:
            RedisAway, hiredis.HiredisError: the connection is lost, or Redis cannot do its part.
        """
        lease_s, wait_s = self._terms.lease_s, self._terms.lease_s / _BEATS_IN_A_LEASE
        try:
            while not link.lost.done():
                returned = await script.call(link, self._script.beat(self._connection, lease_s))
                if returned < 0:
                    raise RedisAway("it knows nothing of this gateway")
                self._meters.reservations_returned.total += returned
                if not returned:
                    await asyncio.wait({link.lost}, timeout=wait_s)
            raise RedisAway("the connection is gone")
        except Exception:
            link.abort()
            raise

    async def _leave(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            with contextlib.suppress(RedisAway, hiredis.HiredisError):
                await script.call(link, self._script.leave(self._connection))
            link.abort()


def _reason(error: Exception) -> str:
    """Say what is wrong without an address or a password."""
    if isinstance(error, hiredis.ReplyError):
        return str(error).partition(" ")[0]
    return str(error) if isinstance(error, RedisAway) else type(error).__name__
