"""All checks, put together."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Final

from service.doctor.certificates import certificates
from service.doctor.exposure import exposure
from service.doctor.files import data_dir
from service.doctor.inside import inside, replicas_of
from service.doctor.outside import outside
from service.doctor.results import Named, Result, asked, looked
from service.doctor.services import alertmanagers, event_log, limits, processes
from service.doctor.store import store
from service.settings import Settings

_LOOKS: Final[Sequence[tuple[str, Callable[[Settings], Iterator[Named]]]]] = (
    ("settings", exposure),
    ("data_dir", data_dir),
    ("store", store),
    ("certificates", certificates),
    ("kafka", event_log),
    ("limits", limits),
)
_ASKS: Final[Sequence[tuple[str, Callable[[Settings], AsyncIterator[Named]]]]] = (
    ("alertmanagers", alertmanagers),
    ("processes", processes),
)


def checkup(settings: Settings | None, addresses: Sequence[str]) -> list[Result]:
    """Check an installation (None: not at all), and try addresses as somebody outside would."""
    here = [] if settings is None else _looked_at(settings)
    return here + asyncio.run(_asked(settings, addresses))


def _looked_at(settings: Settings) -> list[Result]:
    return [result for group, look in _LOOKS for result in looked(group, look(settings))]


async def _asked(settings: Settings | None, addresses: Sequence[str]) -> list[Result]:
    tries = bool(addresses)
    coming = []
    if settings is not None:
        coming += [asked(group, ask(settings)) for group, ask in _ASKS]
        coming += [asked(it.group, inside(it, tries=tries)) for it in replicas_of(settings)]
    coming += [asked(f"outside {url}", outside(url)) for url in dict.fromkeys(addresses)]
    return [result for results in await asyncio.gather(*coming) for result in results]
