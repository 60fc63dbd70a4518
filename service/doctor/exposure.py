"""Settings that are valid, and still open a door or watch nothing."""

import time
from collections.abc import Iterator, Sequence
from ipaddress import ip_address

from service.core.findings import Finding, ok, problem
from service.core.screening import PAGING, Point, applies_to
from service.doctor.results import Named
from service.doctor.store import points_in_store
from service.settings import Model, Settings
from service.wiring.points import fixed_points


def exposure(settings: Settings) -> Iterator[Named]:
    """Check what the settings let others reach, and what they let happen unseen."""
    yield "settings", ok("valid")
    yield "gateway", _gateway(settings)
    yield "console", _console(settings)
    if settings.gateway.cors is not None:
        yield "gateway.cors", _cors(settings.gateway.cors.allow_origins)
    if settings.screening.observe_only:
        words = "screening.observe_only is set: nothing is blocked, only recorded and scored"
        yield "screening", problem(words, "remove it once the operating points are tried out")
    points = [it.to_point() for it in fixed_points(settings)]
    points += points_in_store(settings, time.time())
    for model in settings.models:
        yield f"model {model.name}", _points(points, model)


def is_loopback(host: str) -> bool:
    """Say whether a host to listen on is for this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _gateway(settings: Settings) -> Finding:
    gateway = settings.gateway
    if gateway.tls is not None:
        return ok("it speaks HTTPS")
    if is_loopback(gateway.host):
        return ok("it listens on this machine alone")
    return problem(
        f"it listens on {gateway.host} without TLS: keys and prompts can be read on the way",
        "set gateway.tls, or listen on 127.0.0.1 behind a proxy that speaks HTTPS",
    )


def _console(settings: Settings) -> Finding:
    if is_loopback(settings.console.host):
        return ok("it listens on this machine alone")
    return problem(
        f"it listens on {settings.console.host} without TLS: the admin token can be read",
        "set console.host to 127.0.0.1, and reach it through a proxy that speaks HTTPS, or SSH",
    )


def _cors(origins: tuple[str, ...]) -> Finding:
    if "*" in origins:
        return problem(
            "pages of every origin may call the gateway with the keys that they get hold of",
            "name the origins in gateway.cors.allow_origins",
        )
    return ok(f"pages of {', '.join(origins)} may call")


def _points(points: Sequence[Point], model: Model) -> Finding:
    mine = [point for point in points if applies_to(point, model.name, model.tier)]
    acting = [point for point in mine if point.action in PAGING]
    if acting or model.tier == 0:
        return ok(f"tier {model.tier}, {len(acting)} operating points that page or block")
    return problem(
        f"tier {model.tier}, and no operating point pages or blocks: whatever is found, "
        "nobody hears of it",
        "add operating_points to the settings, or propose some: docs/points.md says how",
    )
