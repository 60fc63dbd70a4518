"""The path of a request, made from the settings: its steps, and the models at its end."""

import secrets
from collections.abc import Mapping, Sequence

from service.core.access import ModelTerms
from service.core.access import Reason as DenyReason
from service.core.addresses import networks_of
from service.core.callers import Caller
from service.core.screens import ModelScreens
from service.core.tiers import TIERS
from service.gateway.auth import Authenticator
from service.gateway.authoriser import Authoriser
from service.gateway.balancer import Balancer
from service.gateway.caps import KeysInFlight
from service.gateway.denials import Denials
from service.gateway.end_users import EndUsers, NewEndUsers
from service.gateway.exchange import ExchangeIds, ServedModel
from service.gateway.limiter import Limiter
from service.gateway.open_answers import OpenAnswers
from service.gateway.passage import Recorder
from service.gateway.pipeline import Limits, Pipeline
from service.gateway.quotas import Quotas
from service.gateway.safeguards import SafeguardBoard
from service.gateway.served_points import ServedPoints
from service.identity.end_users import EndUserVerifier
from service.settings import Model, Settings
from service.settings.access import AccessPolicy
from service.telemetry.tracing import Tracer
from service.wiring.parts import clock


def pipeline_of(  # noqa: PLR0913, PLR0917  (what a request passes)
    settings: Settings,
    models: Mapping[str, ServedModel],
    authenticator: Authenticator,
    board: SafeguardBoard,
    points: ServedPoints,
    recorder: Recorder,
    tracer: Tracer,
    limiter: Limiter,
) -> Pipeline:
    """Return what serves requests, in order."""
    recorder.meters.declare(models)
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
        answers=OpenAnswers(),
        board=board,
        points=points,
        recorder=recorder,
        ids=ids,
        meters=recorder.meters,
        tracer=tracer,
        limits=Limits(gateway.max_body_bytes, gateway.max_answer_bytes, gateway.body_timeout_s),
    )


def models_of(
    settings: Settings,
    upstreams: Mapping[str, Balancer],
    screens: Mapping[str, ModelScreens],
) -> dict[str, ServedModel]:
    """Return the models as the gateway serves them, by name."""
    probes_required = {it.name: it.probes_required for it in settings.upstreams}
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
            probes_required=probes_required[model.upstream],
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
