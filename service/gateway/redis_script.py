"""The script that counts in Redis, redis_limits.lua: its calls and its answers."""

import asyncio
from collections.abc import Sequence
from functools import partial
from hashlib import sha1
from importlib.resources import files
from typing import Any, Final

import hiredis

from service.core.limits import (
    SPAN_S,
    Counter,
    Counters,
    Kind,
    Rate,
    Rates,
    Refused,
    day_ends_at,
    day_of,
    month_ends_at,
    month_of,
    rates_of,
    tightest,
)
from service.core.limits.tallies import CONCURRENT_RETRY_S
from service.gateway.redis_link import OnReply, RedisLink, Reply

_SCRIPT: Final = files("service.gateway").joinpath("redis_limits.lua").read_bytes()
_SHA: Final = sha1(_SCRIPT).hexdigest()  # noqa: S324  (what Redis names scripts by)
_MICRO: Final = 1e-6
_REFUSED: Final = 0
_ADMITTED: Final = 1
_REFUSED_FIELDS: Final = 4


class LimitsScript:
    """Calls the script for one gateway; names of keys have one hash tag, so one slot holds all."""

    def __init__(self, prefix: str, gateway_id: str) -> None:
        """Keep everything under `{prefix}:`."""
        self._base = f"{{{prefix}}}:"
        self._gateway_id = gateway_id
        self._keys = (
            f"{self._base}state",
            f"{self._base}gateways",
            f"{self._base}open:{gateway_id}",
            f"{self._base}returned:{gateway_id}",
        )

    def admit(
        self, connection: int, permit: str, counters: Counters, tokens: int
    ) -> tuple[Any, ...]:
        """Return the arguments of an admission."""
        base = self._base
        return (
            len(self._keys) + len(counters),
            *self._keys,
            *[base + it.id for it in counters],
            *("admit", self._gateway_id, connection, permit, tokens),
            "".join([it.id[0] for it in counters]),
            *[it.limit for it in counters],
        )

    def settle(self, connection: int, permit: str, tokens: int | None) -> tuple[Any, ...]:
        """Return the arguments of a settlement."""
        return self._call("settle", connection, permit, -1 if tokens is None else max(0, tokens))

    def beat(self, connection: int, lease_s: float) -> tuple[Any, ...]:
        """Return the arguments of a sign of life."""
        open_base, returned_base = f"{self._base}open:", f"{self._base}returned:"
        return self._call("beat", connection, lease_s, open_base, returned_base)

    def join(self, connection: int) -> tuple[Any, ...]:
        """Return the arguments that let a connection of this gateway reserve."""
        return self._call("join", connection)

    def leave(self, connection: int) -> tuple[Any, ...]:
        """Return the arguments that let this gateway go."""
        return self._call("leave", connection)

    def _call(self, op: str, connection: int, *arguments: str | float) -> tuple[Any, ...]:
        return (len(self._keys), *self._keys, op, self._gateway_id, connection, *arguments)


def run(link: RedisLink, arguments: tuple[Any, ...], on_reply: OnReply) -> None:
    """Run the script; where Redis has forgotten it, send it along."""
    command = hiredis.pack_command(("EVALSHA", _SHA, *arguments))
    link.send(command, partial(_send_along, link, arguments, on_reply))


def _send_along(
    link: RedisLink, arguments: tuple[Any, ...], on_reply: OnReply, reply: Reply
) -> None:
    if isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT"):
        link.send(hiredis.pack_command(("EVAL", _SCRIPT, *arguments)), on_reply)
    else:
        on_reply(reply)


async def call(link: RedisLink, arguments: tuple[Any, ...]) -> int:
    """Run the script for what it answers with a number.

    Raises:
        RedisAway, hiredis.HiredisError: there is no answer, or it is an error.
    """
    waiter: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def deliver(reply: Reply) -> None:
        if not waiter.done():
            waiter.set_result(reply)

    run(link, arguments, deliver)
    reply = await waiter
    if isinstance(reply, Exception):
        raise reply
    return int(reply)


def is_admitted(reply: Reply) -> bool:
    """Say whether an answer lets a request in."""
    return isinstance(reply, list) and reply[0] == _ADMITTED


def is_refused(reply: Reply) -> bool:
    """Say whether an answer names limits without room."""
    return isinstance(reply, list) and reply[0] == _REFUSED


def rates_in(counters: Counters, reply: Sequence[int]) -> Rates:
    """Return how the limits stand, from the answer that let a request in."""
    _, _, micros, at, *left = reply
    now = at + micros * _MICRO
    requests, tokens = [
        None if i is None else Rate(counters[i].limit, left[i], _reset_s(counters[i], now))
        for i in tightest(counters, left)
    ]
    return Rates(requests, tokens)


def refused_in(counters: Counters, tokens: int, reply: Sequence[int]) -> Refused:
    """Return what an answer refuses: the counter that does so for longest."""
    _, second, micros, at, *fields = reply
    fraction = micros * _MICRO
    refusals = []
    for start in range(0, len(fields), _REFUSED_FIELDS):
        place, total, free_at, empty_at = fields[start : start + _REFUSED_FIELDS]
        counter = counters[place]
        wait_s: float | None
        match counter.kind:
            case Kind.CONCURRENT:
                wait_s = reset_s = CONCURRENT_RETRY_S
            case Kind.DAY:
                wait_s = reset_s = day_ends_at(free_at) - at - fraction
            case Kind.MONTH:
                wait_s = reset_s = month_ends_at(free_at) - at - fraction
            case _:
                wait_s, reset_s = free_at - second - fraction, empty_at - second - fraction
        if counter.limit < (tokens if counter.in_tokens else 1):
            wait_s = None
        rates = rates_of(counter, counter.limit - total, max(0.0, reset_s))
        refusals.append(Refused(counter, wait_s, rates))
    return max(refusals, key=Refused.length_s)


def _reset_s(counter: Counter, now: float) -> float:
    """Return when nothing is left of what was counted a moment ago."""
    match counter.kind:
        case Kind.DAY:
            return day_ends_at(day_of(now)) - now
        case Kind.MONTH:
            return month_ends_at(month_of(now)) - now
        case _:
            return SPAN_S - now % 1
