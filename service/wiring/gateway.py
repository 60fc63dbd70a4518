"""A gateway process."""

import asyncio
import contextlib
import gc
import secrets
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import uvicorn
import uvloop
from prometheus_client import CollectorRegistry

from service.core.access import ModelTerms
from service.core.access import Reason as DenyReason
from service.core.addresses import networks_of
from service.core.callers import Caller
from service.core.screens import ModelScreens
from service.core.surfaces import SURFACES
from service.core.tiers import TIERS, staleness_bounds
from service.errors import BadRecord
from service.events.journal import Journal, oldest_unread
from service.events.journal.groups import Group, groups_folder
from service.events.schema import made_at
from service.gateway.app import GatewayApp
from service.gateway.asgi import App
from service.gateway.auth import Authenticator
from service.gateway.authoriser import Authoriser
from service.gateway.balancer import Balancer
from service.gateway.caps import ConnectionCap, KeysInFlight
from service.gateway.cors import Cors, CorsPolicy
from service.gateway.denials import Denials
from service.gateway.end_users import EndUsers, NewEndUsers
from service.gateway.evidence import Evidence
from service.gateway.exchange import ExchangeIds, ServedModel
from service.gateway.http_protocol import RequestLimits
from service.gateway.limiter import Limiter
from service.gateway.meters import Meters
from service.gateway.open_answers import OpenAnswers
from service.gateway.passage import Recorder
from service.gateway.pipeline import Limits, Pipeline
from service.gateway.quotas import Quotas
from service.gateway.safeguards import SafeguardBoard, SafeguardWatch
from service.gateway.server import make_server
from service.gateway.store_watch import StoreWatch
from service.gateway.upstream_health import checking
from service.identity.end_users import EndUserVerifier
from service.settings import KafkaLog, Model, Settings
from service.settings.access import AccessPolicy
from service.store import Store
from service.store.copy import LocalCopy
from service.store.pepper import pepper_in_use
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
from service.telemetry.tracing import Tracer, make_tracer
from service.wiring.identity import token_verifier
from service.wiring.limits import limiter_of
from service.wiring.parts import SCREENER, SHIPPER, clock, journal_root, make_metrics, own_journal
from service.wiring.peppers import peppers_of
from service.wiring.screens import SHIPPED, Detectors, screens_by_model
from service.wiring.upstreams import balancer_of, checks_of

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
async def gateway_of(settings: Settings, detectors: Detectors = SHIPPED) -> AsyncIterator[Gateway]:
    """Put a gateway together; at the end all that it appended is kept and counted."""
    registry, metrics = make_metrics()
    meters = Meters(metrics)
    async with limiter_of(settings, meters) as limiter:
        counted = _Counted(registry, metrics, meters, limiter)
        async with _put_together(settings, detectors, counted) as gateway:
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
    tracer = make_tracer("watchgate-gateway")
    with (
        contextlib.closing(tracer),
        contextlib.closing(Store(settings.store.url)) as store,
        own_journal(settings, "gateway", evidence.announce) as journal,
        token_verifier(settings, metrics) as tokens,
    ):
        evidence.attach(journal)
        upstreams = {u.name: balancer_of(u, meters) for u in settings.upstreams}
        checks = [it for u in settings.upstreams for it in checks_of(u, upstreams[u.name])]
        models = _models(settings, upstreams, screens_by_model(settings, detectors))
        board = SafeguardBoard(models, metrics)
        peppers = peppers_of(settings)
        store_watch = _store_watch(settings, store, journal, peppers)
        store_watch.open()
        authenticator = Authenticator(peppers, meters, tokens)
        recorder = Recorder(evidence, meters)
        pipeline = _pipeline(settings, models, authenticator, board, recorder, tracer, limiter)
        watch = _watch(settings, board, store_watch, journal, metrics)
        app = GatewayApp(pipeline, watch, min(_WATCH_S, settings.store.poll_s))
        store_watch.start(pipeline.use, authenticator.redigests)
        try:
            async with checking(checks):
                yield Gateway(app, journal, board, registry, meters)
        finally:
            store_watch.stop()
            await evidence.drain(_DRAIN_S)
            meters.flush()
            for upstream in upstreams.values():
                await upstream.close()


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


def _pipeline(  # noqa: PLR0913, PLR0917  (one call, right above)
    settings: Settings,
    models: Mapping[str, ServedModel],
    authenticator: Authenticator,
    board: SafeguardBoard,
    recorder: Recorder,
    tracer: Tracer,
    limiter: Limiter,
) -> Pipeline:
    for model in models:
        for surface in SURFACES:
            recorder.meters.declare(surface, model)
    gateway, access, ids = settings.gateway, settings.access, ExchangeIds(secrets.token_hex(8))
    denials = Denials(recorder.evidence, ids.boot, recorder.meters.denials_overflowed)

    def on_denied(caller: Caller, model: str, surface: str, reasons: Sequence[DenyReason]) -> None:
        recorder.meters.denied(model, reasons[0])
        denials.note(caller, model, surface, reasons, clock())

    return Pipeline(
        models=models,
        authenticator=authenticator,
        keys=KeysInFlight(gateway.max_connections_per_key, recorder.meters.requests_limited),
        end_users=EndUsers(
            NewEndUsers(access.new_end_users_per_hour, recorder.meters.end_users_limited),
            EndUserVerifier().verify,
        ),
        authoriser=Authoriser(networks_of(access.trusted_proxies), on_denied),
        denials=denials,
        quotas=Quotas(limiter),
        answers=OpenAnswers(clock),
        board=board,
        recorder=recorder,
        ids=ids,
        meters=recorder.meters,
        tracer=tracer,
        limits=Limits(gateway.max_body_bytes, gateway.max_answer_bytes, gateway.body_timeout_s),
    )


def _store_watch(
    settings: Settings, store: Store, journal: Journal, peppers: Sequence[bytes]
) -> StoreWatch:
    """Return the watch of a store whose keys must have been made under one of these peppers."""

    def prepare(may_be_new: bool) -> None:
        store.prepare(may_be_new=may_be_new)
        pepper_in_use(store, peppers)

    copy = LocalCopy(settings.data_dir / "store-copy" / journal.log, peppers)
    return StoreWatch(store, prepare, copy, poll_s=settings.store.poll_s, clock=clock)


def _watch(
    settings: Settings,
    board: SafeguardBoard,
    store_watch: StoreWatch,
    journal: Journal,
    metrics: Metrics,
) -> SafeguardWatch:
    kafka = isinstance(settings.event_log, KafkaLog)
    group = Group(groups_folder(journal_root(settings)), SHIPPER if kafka else SCREENER)
    return SafeguardWatch(
        board=board,
        store=store_watch,
        journal=journal,
        group=group,
        unread_since=_unread_since(journal_root(settings) / journal.log, group),
        screener_reads_kafka=kafka,
        staleness_bounds_s=staleness_bounds(settings.store.max_staleness_s),
        metrics=metrics,
        clock=clock,
    )


def _unread_since(folder: Path, group: Group) -> float | None:
    """Return when the oldest record came that a group has yet to acknowledge."""
    oldest = oldest_unread(folder, group.load().get(folder.name))
    if oldest is None:
        return None
    try:
        return made_at(oldest.record)
    except BadRecord:  # no age is known: as old as can be
        return 0.0


def _models(
    settings: Settings,
    upstreams: Mapping[str, Balancer],
    screens: Mapping[str, ModelScreens],
) -> Mapping[str, ServedModel]:
    return {
        model.name: ServedModel.of(
            model.name,
            model.upstream_model,
            TIERS[model.tier],
            upstreams[model.upstream],
            screens[model.name],
            access=_terms(settings, model),
            ends_answers=_access(settings, model).ends_answers,
            context_tokens=model.context_tokens,
        )
        for model in settings.models
    }


def _terms(settings: Settings, model: Model) -> ModelTerms:
    return ModelTerms(
        model.name,
        model.tier,
        model.adapter,
        frozenset(model.entitlements),
        _access(settings, model).end_users or TIERS[model.tier].end_users,
    )


def _access(settings: Settings, model: Model) -> AccessPolicy:
    return settings.access.tiers.get(model.tier, AccessPolicy())
