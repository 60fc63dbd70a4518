"""Whether each upstream's probes have a way in of their own."""

from collections.abc import Iterator

from service.settings.mistakes import Mistake
from service.settings.sections import Settings


def check_sockets(settings: Settings) -> Iterator[Mistake]:
    """A gateway process has one socket in a folder: each upstream needs a folder of its own."""
    first: dict[str, int] = {}
    for i, upstream in enumerate(settings.upstreams):
        if upstream.probes is None or upstream.probes.sockets is None:
            continue
        folder = str(upstream.probes.sockets)
        if first.setdefault(folder, i) != i:
            where = ("upstreams", i, "probes", "sockets")
            taken = f"upstreams[{first[folder]}] has this folder already"
            yield Mistake(where, f"{taken}: each upstream needs its own")


def check_listeners(settings: Settings) -> Iterator[Mistake]:
    """Yield ports that are taken, and what several processes would have to share."""
    sections = ("gateway", "console", "ops")
    taken = {getattr(settings, it).port: f"{it}.port" for it in sections}
    for i, upstream in enumerate(settings.upstreams):
        if upstream.probes is None or (listen := upstream.probes.listen) is None:
            continue
        where = ("upstreams", i, "probes", "listen")
        if listen.port and listen.port in taken:
            yield Mistake((*where, "port"), f"{listen.port} is taken by {taken[listen.port]}")
        taken[listen.port] = f"upstreams[{i}].probes.listen.port"
        if settings.gateway.workers > 1:
            yield Mistake(
                where,
                f"a plugin must reach each gateway process by itself, and gateway.workers: "
                f"{settings.gateway.workers} would share the port: set workers to 1 and run more "
                "gateways, or use sockets where vLLM is on this machine",
            )
