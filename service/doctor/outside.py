"""Tries to reach vLLM as somebody outside would."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from service.core.findings import ok
from service.core.perimeter import ROUTES, Answer, Outcome, Route, judge, of_address
from service.doctor.probe import Prober
from service.doctor.results import Result

CONTROL: Final = "/watchgate-doctor-asks-for-a-path-that-nobody-serves"
_GUARDS: Final = (401, 403, 407)


async def outside(base_url: str) -> Sequence[Result]:
    """Probe every path that must fail at an address."""
    async with Prober(base_url) as prober:
        return [result async for result in _results(prober)]


async def _results(prober: Prober) -> AsyncIterator[Result]:
    group = f"outside {prober.base_url}"
    control = (await prober.ask("GET", CONTROL)).outcome
    if whole := of_address(control):
        yield Result(group, "every path", whole)
        return
    if not prober.is_vouched_for:
        yield Result(group, "certificate", ok("not one that this machine trusts; taken as it is"))
    tasks = [asyncio.create_task(_probe(prober, route, control, group)) for route in ROUTES]
    for result in await asyncio.gather(*tasks):
        yield result


async def _probe(prober: Prober, route: Route, control: Outcome, group: str) -> Result:
    seen = (await prober.ask(route.probe, route.path)).outcome
    options = None
    if isinstance(seen, Answer) and seen.status in _GUARDS:
        options = (await prober.ask("OPTIONS", route.path)).outcome
    return Result(group, route.path, judge(route, seen, options, control))
