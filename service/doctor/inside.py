"""Looks at each vLLM as its gateway sees it, and as a stranger beside the gateway would."""

import ssl
import time
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from service.core.findings import Finding, ok, problem, unknown
from service.core.perimeter import ROUTES, SHUT, Kind, Outcome, Route, is_there
from service.core.vllm_flags import of_command
from service.doctor.local import command_of, is_of_this_machine, listeners_on
from service.doctor.outside import CONTROL
from service.doctor.probe import Prober, Reply
from service.doctor.results import Named
from service.settings import Settings, Upstream
from service.wiring.upstreams import tls_of

MAX_SKEW_S: Final = 60.0
"""How far two machines' clocks may be apart: keys expire and workers lag by them."""
_PORTS: Final = {"http": 80, "https": 443}
_HOW: Final = ("OPTIONS", "GET", "HEAD")
_OK: Final = 200
_REFUSED: Final = frozenset({401, 403})
_NO_CERTIFICATE: Final = frozenset({None, 400, 495, 496})
"""What a server gives to who shows no certificate: a failed handshake, or nginx's statuses."""
_TO_DO: Final = {
    Kind.DEV_MODE: "start vLLM without VLLM_SERVER_DEV_MODE",
    Kind.ADAPTERS: "start vLLM without VLLM_ALLOW_RUNTIME_LORA_UPDATING, its adapters named by "
    "--lora-modules",
    Kind.PROFILER: "start vLLM without --profiler-config",
    Kind.HOOKS: "remove the package vllm-lens from vLLM's environment",
}
_NAMES: Final = {
    Kind.DEV_MODE: "dev mode",
    Kind.ADAPTERS: "adapters at run time",
    Kind.PROFILER: "profiler",
    Kind.HOOKS: "hooks of vllm-lens",
}


@dataclass(frozen=True, slots=True)
class Replica:
    """One server of an upstream, and the models that it must have."""

    upstream: Upstream
    url: str
    models: Collection[str]

    @property
    def group(self) -> str:
        """What its checks are listed under."""
        return f"upstream {self.upstream.name} {self.url}"

    @property
    def key(self) -> str | None:
        """The key that the gateway sends."""
        key = self.upstream.api_key
        return (key.get_secret_value() or None) if key else None

    @property
    def address(self) -> SplitResult:
        """The parts of its address."""
        return urlsplit(self.url)


def replicas_of(settings: Settings) -> Sequence[Replica]:
    """Return every replica of every upstream."""
    return [
        Replica(up, url, {m.upstream_model for m in settings.models if m.upstream == up.name})
        for up in settings.upstreams
        for url in up.replicas
    ]


async def inside(replica: Replica, *, tries: bool) -> AsyncIterator[Named]:
    """Check one replica; `tries` says whether its paths are tried from outside as well.

    Raises:
        OSError: a file of its certificates cannot be read.
    """
    tls = tls_of(replica.upstream) or ssl.create_default_context()
    async with Prober(replica.url, tls) as gateway, Prober(replica.url) as stranger:
        health = await gateway.ask("GET", "/health")
        yield "answers", _answers(health)
        if health.status is None:
            return
        yield "models", _models(replica, await gateway.ask("GET", "/v1/models", key=replica.key))
        guard = await stranger.ask("GET", "/v1/models")
        yield "key", _key(replica, guard)
        for kind, name in _NAMES.items():
            yield name, await _absent(replica, gateway, kind)
        yield "version", _version(await gateway.ask("GET", "/version"))
        yield "clock", _clock(health, time.time())
        if not _needs_certificate(replica, guard):
            for found in _reach(replica, tries=tries):
                yield found


def _answers(health: Reply) -> Finding:
    if health.status is None:
        return problem(str(health.outcome), "start vLLM there, or correct upstreams[].url")
    if health.status == _OK:
        return ok("/health is good")
    return problem(f"/health answers {health.status}", "look at vLLM's log")


def _models(replica: Replica, reply: Reply) -> Finding:
    if reply.status in _REFUSED:
        return problem(
            f"it refuses the gateway's key ({reply.status})",
            "set upstreams[].api_key to the key that vLLM was started with",
        )
    there = _ids(reply.json)
    if reply.status != _OK or there is None:
        return unknown(f"/v1/models gives: {_told(reply)}", "look at vLLM's log")
    if missing := sorted(set(replica.models) - there):
        return problem(
            f"it does not serve {', '.join(missing)}; it serves: {', '.join(sorted(there))}",
            "correct models[].upstream_model, or vLLM's --served-model-name",
        )
    return ok(f"it serves {', '.join(sorted(replica.models)) or 'no model of the settings'}")


def _ids(body: Any) -> set[str] | None:  # noqa: ANN401  (whatever JSON holds)
    try:
        return {str(model["id"]) for model in body["data"]}
    except (TypeError, LookupError):
        return None


def _key(replica: Replica, stranger: Reply) -> Finding:
    if stranger.status in _REFUSED:
        return ok("/v1 asks for a key; other paths, such as /invocations, may not")
    if _needs_certificate(replica, stranger):
        return ok("nobody gets in without the gateway's certificate")
    if stranger.status != _OK:
        return unknown(f"without a key /v1/models gives: {_told(stranger)}", "look by hand")
    words = "/v1/models answers without a key"
    if replica.key is not None:
        return problem(words, "start vLLM with VLLM_API_KEY set to upstreams[].api_key")
    if _is_loopback(replica):
        return ok(f"{words}, to this machine alone")
    return problem(words, "set VLLM_API_KEY for vLLM, and upstreams[].api_key to the same")


def _needs_certificate(replica: Replica, stranger: Reply) -> bool:
    """Say whether the gateway gets in by its certificate alone: without, the handshake fails."""
    return replica.upstream.cert_file is not None and stranger.status in _NO_CERTIFICATE


def _told(reply: Reply) -> str:
    return str(reply.outcome) if reply.status is None else f"status {reply.status}"


async def _absent(replica: Replica, gateway: Prober, kind: Kind) -> Finding:
    """Look for the paths of a kind; OPTIONS shows them past vLLM's key, and does nothing."""
    control = {how: (await _ask(replica, gateway, how, CONTROL)) for how in _HOW}
    there = [
        route.path
        for route in ROUTES
        if route.kind is kind and await _is_there(replica, gateway, route, control)
    ]
    if not there:
        return ok("off")
    return problem(f"on: {', '.join(there)} {_are(there)} there; it {kind}", _TO_DO[kind])


def _are(paths: Collection[str]) -> str:
    return "is" if len(paths) == 1 else "are"


async def _is_there(
    replica: Replica, gateway: Prober, route: Route, control: dict[str, Outcome]
) -> bool:
    for how in dict.fromkeys(("OPTIONS", route.probe)):
        if is_there(await _ask(replica, gateway, how, route.path), control[how]):
            return True
    return False


async def _ask(replica: Replica, gateway: Prober, how: str, path: str) -> Outcome:
    return (await gateway.ask(how, path, key=replica.key)).outcome


def _version(reply: Reply) -> Finding:
    body = reply.json
    if reply.status == _OK and isinstance(body, dict) and isinstance(body.get("version"), str):
        return ok(f"vLLM {body['version'][:40]}")
    return ok("it does not tell")


def _clock(reply: Reply, now: float) -> Finding:
    try:
        there = parsedate_to_datetime(reply.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return ok("it does not tell the time")
    if abs(there - now) > MAX_SKEW_S:
        return problem(
            f"its clock is {there - now:+.0f} s from this machine's",
            "keep both by NTP: keys expire, and workers' lag is measured, by the clock",
        )
    return ok("as this machine's")


def _is_loopback(replica: Replica) -> bool:
    listeners = _listeners(replica)
    return bool(listeners) and all(it.is_loopback for it in listeners or ())


def _listeners(replica: Replica) -> Sequence[Any] | None:
    """Return who listens where this replica is; None if it is not on this machine."""
    parts = replica.address
    if not is_of_this_machine(parts.hostname or ""):
        return None
    return listeners_on(parts.port or _PORTS[parts.scheme])


def _reach(replica: Replica, *, tries: bool) -> Sequence[Named]:
    listeners = _listeners(replica)
    if not listeners:
        words = "whether anybody but the gateway reaches it is not seen from here"
        to_do = "on a machine outside run: watchgate doctor --outside ADDRESS"
        return [] if tries else [("reach", unknown(words, to_do))]
    if wide := [str(it.address) for it in listeners if not it.is_loopback]:
        finding = problem(f"it listens on {', '.join(wide)}, not on loopback alone", SHUT)
    else:
        finding = ok("it listens on loopback alone")
    command = command_of([it.inode for it in listeners])
    return [("reach", finding), *(of_command(command) if command else [])]
