"""Looks at what Watchgate talks to, and at its own processes that run."""

import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from service.core.findings import Finding, ok, problem, unknown
from service.doctor.probe import Prober, Reply
from service.doctor.redis import redis_at
from service.doctor.results import Named
from service.errors import EventLogError
from service.events.kafka.look import topics_of
from service.settings import KafkaLog, RedisLimits, Settings
from service.wiring.parts import kafka_config
from service.workers.alertmanager import Alertmanager

_OK: Final = 200
_GUARDED: Final = 401
_HERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  (compared, not bound)


def event_log(settings: Settings) -> Iterator[Named]:
    """Check Kafka, if that is the event log; the journals are looked at in data_dir."""
    log = settings.event_log
    if not isinstance(log, KafkaLog):
        return
    servers = ", ".join(log.bootstrap_servers)
    try:
        there = topics_of(kafka_config(log))
    except EventLogError as error:
        yield "reached", problem(f"{servers}: {error}", "start it, or correct event_log")
        return
    yield "reached", ok(f"{servers} answers")
    yield "topics", _topics(set(log.topics.model_dump().values()) - there)


def _topics(missing: set[str]) -> Finding:
    if not missing:
        return ok("all there")
    return problem(
        f"missing: {', '.join(sorted(missing))}",
        "start Watchgate, which makes them if it may, or make them: docs/kafka.md says how",
    )


def limits(settings: Settings) -> Iterator[Named]:
    """Check Redis, if that is where limits are counted."""
    where = settings.limits
    if isinstance(where, RedisLimits):
        found = redis_at(where.url, ca_file=where.ca_file, certificate=where.client_certificate)
        yield "redis", found


async def alertmanagers(settings: Settings) -> AsyncIterator[Named]:
    """Check that each Alertmanager answers; no alert is sent."""
    for url in settings.alerts.alertmanagers:
        # the password in an address goes to nobody whose certificate is not vouched for
        async with Prober(url, ssl.create_default_context()) as prober:
            reply = await prober.ask("GET", "/api/v2/status")
        yield Alertmanager(url).name, _alertmanager(reply)


def _alertmanager(reply: Reply) -> Finding:
    if reply.status == _OK and isinstance(reply.json, dict) and "versionInfo" in reply.json:
        return ok("it answers")
    what = str(reply.outcome) if reply.status is None else f"it answers {reply.status}"
    return problem(f"no Alertmanager: {what}", "start it, or correct alerts.alertmanagers")


async def processes(settings: Settings) -> AsyncIterator[Named]:
    """Ask the processes that run here whether they are ready, and the gateway for its key."""
    found = [(name, await _ask(settings.ops.host, port)) for name, port in _ops_ports(settings)]
    answered = [(name, reply) for name, reply in found if reply.status is not None]
    for name, reply in answered:
        yield name, _ready(reply.json)
    if not answered:
        words = "none of Watchgate's processes answers on the ops ports of this machine"
        yield "ops ports", unknown(words, "start Watchgate, then ask again")
    elif (gateway := await _gateway(settings)) is not None:
        yield "gateway", gateway


def _ops_ports(settings: Settings) -> list[tuple[str, int]]:
    names = {settings.ops.port: "up"}
    for role, port in settings.ops.ports.model_dump().items():
        names[port] = f"{names[port]} or {role}" if port in names else role
    return [(f"{name} (ops port {port})", port) for port, name in names.items() if port]


async def _ask(host: str, port: int, scheme: str = "http", path: str = "/ready") -> Reply:
    host = _HERE.get(host, host)
    async with Prober(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}") as prober:
        return await prober.ask("GET", path)


def _ready(body: Any) -> Finding:  # noqa: ANN401  (whatever JSON holds)
    try:
        is_ready, reasons = bool(body["ready"]), [str(it["message"]) for it in body["reasons"]]
    except (TypeError, LookupError):
        return problem("something else listens there", "give ops another port, or end the other")
    if is_ready:
        return ok("ready")
    words = "; ".join(dict.fromkeys(reasons)) or "it does not say why"
    return problem(f"not ready: {words}", "docs/operations.md says what each reason asks for")


async def _gateway(settings: Settings) -> Finding | None:
    """Return what the gateway's own port says; None where none runs on this machine."""
    gateway = settings.gateway
    reply = await _ask(gateway.host, gateway.port, "https" if gateway.tls else "http", "/v1/models")
    if reply.status is None:
        return None
    if reply.status == _GUARDED:
        return ok("it asks for a key")
    return problem(
        f"without a key it answers {reply.status}, and 401 would be right",
        f"find out what listens on port {gateway.port}",
    )
