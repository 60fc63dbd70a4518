"""Tries to reach vLLM as somebody outside would."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from service.core.findings import Finding, ok
from service.core.perimeter import ROUTES, Answer, Outcome, Route, Silence, judge, of_address
from service.doctor.probe import Prober
from service.doctor.results import Named

CONTROL: Final = "/watchgate-doctor-asks-for-a-path-that-nobody-serves"
_GUARDS: Final = (401, 403, 407)


async def outside(base_url: str) -> AsyncIterator[Named]:
    """Probe every path that must fail at an address."""
    async with Prober(base_url) as prober:
        control = await _control(prober)
        if whole := of_address(control):
            yield "every path", whole
            return
        if not prober.is_vouched_for:
            yield "certificate", ok("not one that this machine trusts; taken as it is")
        for route, finding in zip(ROUTES, await _probed(prober, control), strict=True):
            yield route.path, finding


async def _control(prober: Prober) -> Outcome:
    """Ask for a path that nobody serves; a name that is slow to resolve must not look shut."""
    if not await prober.resolves():
        return Silence.UNRESOLVED
    return (await prober.ask("GET", CONTROL)).outcome


async def _probed(prober: Prober, control: Outcome) -> Sequence[Finding]:
    return await asyncio.gather(*(_probe(prober, route, control) for route in ROUTES))


async def _probe(prober: Prober, route: Route, control: Outcome) -> Finding:
    seen = (await prober.ask(route.probe, route.path)).outcome
    options = None
    if isinstance(seen, Answer) and seen.status in _GUARDS:
        options = (await prober.ask("OPTIONS", route.path)).outcome
    return judge(route, seen, options, control)
