"""A gateway process."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import uvicorn
import uvloop
from prometheus_client import CollectorRegistry

from detectors.api import Detector
from service.events.journal import Journal
from service.gateway.app import GatewayApp
from service.gateway.asgi import App
from service.gateway.auth import Authenticator
from service.gateway.caps import ConnectionCap
from service.gateway.cors import Cors, CorsPolicy
from service.gateway.evidence import Evidence
from service.gateway.http_protocol import RequestLimits
from service.gateway.limiter import Limiter
from service.gateway.meters import Meters
from service.gateway.passage import Recorder
from service.gateway.safeguards import SafeguardBoard
from service.gateway.served_points import ServedPoints
from service.gateway.server import make_server
from service.gateway.upstream_health import checking
from service.settings import Settings
from service.store import Store
from service.telemetry.metrics import Metrics
from service.telemetry.ops import (
    OpsAddress,
    Reason,
    listen_on,
    make_ops_app,
    metrics_of,
    ops_server,
    serve_in_thread,
)
from service.telemetry.tracing import make_tracer
from service.wiring.blocking import Blocking
from service.wiring.certificates import show_certificates
from service.wiring.detectors import Detectors, detectors_of
from service.wiring.identity import token_verifier
from service.wiring.limits import limiter_of
from service.wiring.parts import GATEWAY, clock, counted_points, make_metrics, own_journal
from service.wiring.peppers import peppers_of
from service.wiring.pipeline import models_of, pipeline_of
from service.wiring.probes import listening_to_probes
from service.wiring.reloading import DetectorWatch, show_versions, watching
from service.wiring.screens import Screens
from service.wiring.upstreams import balancer_of, checks_of
from service.wiring.watches import store_watch_of, watch_of

_YOUNG_OBJECTS: Final = 20_000
"""How many new objects make the garbage collector look at them; Python's own figure is 700."""
_DRAIN_S: Final = 5.0
"""The longest wait for the journal at the end; it has seldom more than a few commits to make."""
_WATCH_S: Final = 1.0
"""Between two looks at the safeguards; more often where the store is asked more often."""


def run_gateway(settings: Settings, ops: OpsAddress) -> int:
    """Serve callers until SIGTERM or SIGINT, then drain."""
    uvloop.run(_serve(settings, ops))
    return 0


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that is put together and does not listen yet."""

    app: GatewayApp
    journal: Journal
    board: SafeguardBoard
    registry: CollectorRegistry
    meters: Meters

    def reasons(self) -> list[Reason]:
        """List what keeps it from being ready."""
        reasons = []
        if not self.journal.has_room():
            reasons.append(Reason("journal", "the journal takes no new exchange"))
        if not self.board.any_served():
            inactive = self.board.reasons()
            reasons += [Reason("safeguard_inactive", why, model) for model, why in inactive]
        return reasons


@contextlib.asynccontextmanager
async def gateway_of(
    settings: Settings, detectors: Detectors | None = None
) -> AsyncIterator[Gateway]:
    """Put a gateway together; at the end all that it appended is kept and counted."""
    registry, metrics = make_metrics(GATEWAY)
    show_certificates(settings, metrics, GATEWAY, "upstreams", "limits")
    meters = Meters(metrics)
    async with limiter_of(settings, meters) as limiter:
        counted = _Counted(registry, metrics, meters, limiter)
        async with _put_together(settings, detectors or detectors_of(settings), counted) as gateway:
            yield gateway


class _Counted(NamedTuple):
    """What counts, in a process."""

    registry: CollectorRegistry
    metrics: Metrics
    meters: Meters
    limiter: Limiter


@contextlib.asynccontextmanager
async def _put_together(
    settings: Settings, detectors: Detectors, counted: _Counted
) -> AsyncIterator[Gateway]:
    registry, metrics, meters, limiter = counted
    evidence = Evidence(asyncio.get_running_loop(), meters.appends)
    spans, content = metrics.upkeep.trace_spans, settings.traces.content
    tracer = make_tracer(GATEWAY, spans, content=content)
    with (
        contextlib.closing(tracer),
        contextlib.closing(Store(settings.store.url)) as store,
        own_journal(settings, GATEWAY, evidence.announce) as journal,
        token_verifier(settings, metrics) as tokens,
    ):
        evidence.attach(journal)
        upstreams = {u.name: balancer_of(u, meters) for u in settings.upstreams}
        checks = [it for u in settings.upstreams for it in checks_of(u, upstreams[u.name])]
        screens = Screens(settings, detectors)
        models = models_of(settings, upstreams, screens.by_model())
        board = SafeguardBoard(models, metrics)
        peppers = peppers_of(settings)
        store_watch = store_watch_of(settings, store, journal, peppers)
        store_watch.open()
        authenticator = Authenticator(peppers, meters, tokens)
        recorder = Recorder(evidence, meters)
        points = ServedPoints(models, screens, counted_points(metrics), clock)
        pipeline = pipeline_of(
            settings, models, authenticator, board, points, recorder, tracer, limiter
        )
        watch = watch_of(settings, board, store_watch, journal, metrics)
        app = GatewayApp(pipeline, watch, min(_WATCH_S, settings.store.poll_s))
        telling = listening_to_probes(settings, pipeline.ids.boot, upstreams, metrics.probes)
        store_watch.start(pipeline.use, authenticator.redigests, screens.prepare)
        try:
            with watching(_detector_watch(detectors, points, metrics)):
                async with checking(checks), telling:
                    yield Gateway(app, journal, board, registry, meters)
        finally:
            store_watch.stop()
            await evidence.drain(_DRAIN_S)
            meters.flush()
            for upstream in upstreams.values():
                await upstream.close()


def _detector_watch(detectors: Detectors, points: ServedPoints, metrics: Metrics) -> DetectorWatch:
    """Return the watch of the detectors that may screen here; exchanges end as they began."""
    loop = asyncio.get_running_loop()
    held = [it for it in detectors.reloadable if isinstance(it.detector, Blocking)]
    show_versions([it.detector for it in held], metrics)

    def use(new: Detector) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(points.use_detector, new)

    return DetectorWatch(held, use, metrics)


async def _serve(settings: Settings, ops: OpsAddress) -> None:
    async with gateway_of(settings) as gateway:
        server = server_of(settings, gateway)

        def reasons() -> list[Reason]:
            stopping = [Reason("draining", "the gateway is stopping")]
            return (stopping if server.should_exit else []) + gateway.reasons()

        beside = ops_server(make_ops_app(reasons, metrics_of(gateway.registry)), ops)
        address, many = (settings.gateway.host, settings.gateway.port), settings.gateway.workers > 1
        listener = listen_on(address, "gateway", reuse_port=many)
        serve_in_thread(beside)  # once nothing can fail: its words would come behind the reason
        for number in (signal.SIGTERM, signal.SIGINT):
            # for the moments before uvicorn listens to them, and after: it raises them again
            signal.signal(number, lambda *_: setattr(server, "should_exit", True))
        _spare_the_collector()
        await server.serve([listener])


def _spare_the_collector() -> None:
    """Let the garbage collector pass over what was made at the start, and run more seldom.

    A request makes many small objects and hardly a cycle: with Python's own thresholds every few
    requests pay for a look at all of them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 20)


def server_of(settings: Settings, parts: Gateway) -> uvicorn.Server:
    """Return the server that the settings describe, around the application."""
    gateway = settings.gateway
    app: App = parts.app
    if gateway.cors is not None:
        app = Cors(app, CorsPolicy(**gateway.cors.model_dump()))
    return make_server(
        app,
        RequestLimits(
            max_header_bytes=gateway.max_header_bytes,
            max_headers=gateway.max_header_count,
            header_timeout_s=gateway.header_timeout_s,
            keep_alive_s=gateway.keep_alive_s,
            stall_timeout_s=gateway.stall_timeout_s,
            connections=ConnectionCap(gateway.max_connections, parts.meters.connections_refused),
        ),
        drain_s=gateway.drain_s,
        backlog=gateway.backlog,
        tls_cert=gateway.tls.cert_file if gateway.tls else None,
        tls_key=gateway.tls.key_file if gateway.tls else None,
    )
