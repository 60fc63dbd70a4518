"""Names that stand for nothing, or for two things, and tiers that cannot be kept."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from service.core.tiers import TIERS, Safeguard, unbuilt_safeguards
from service.settings.answer_windows import check_answer_points, check_answer_windows
from service.settings.detectors import check_detectors
from service.settings.issuers import check_issuers
from service.settings.limits import MemoryLimits, RedisLimits
from service.settings.mistakes import Mistake
from service.settings.probes import check_listeners, check_sockets
from service.settings.sections import KafkaLog, KafkaTopics, Settings

_TOPICS: Final = len(KafkaTopics.model_fields)


class Check(NamedTuple):
    """Looks for what is wrong between settings that are right each by itself."""

    sections: frozenset[str]
    """The top-level keys that it looks at: while one of these is wrong, it cannot look."""
    look: Callable[[Settings], Iterable[Mistake]]


def _check_names(settings: Settings) -> Iterator[Mistake]:
    yield from _unique("upstreams", [u.name for u in settings.upstreams])


def _check_model_names(settings: Settings) -> Iterator[Mistake]:
    yield from _unique("models", [m.name for m in settings.models])
    if not settings.models:
        yield Mistake(
            ("models",),
            "there are none, so nothing could be served: name at least one, "
            "such as {name: NAME, upstream: NAME, tier: 1}",
        )


def _check_point_names(settings: Settings) -> Iterator[Mistake]:
    yield from _unique("operating_points", [p.name for p in settings.operating_points])


def _unique(section: str, names: Sequence[str]) -> Iterator[Mistake]:
    for i, name in enumerate(names):
        if name in names[:i]:
            first = f"{section}[{names.index(name)}]"
            yield Mistake((section, i), f"{name!r} is already taken by {first}")


def _check_upstreams(settings: Settings) -> Iterator[Mistake]:
    upstreams = {u.name for u in settings.upstreams}
    for i, model in enumerate(settings.models):
        if model.upstream not in upstreams:
            yield Mistake(
                ("models", i, "upstream"),
                f"no upstream is named {model.upstream!r}; "
                f"there are: {', '.join(sorted(upstreams)) or 'none'}",
            )


def _check_tiers(settings: Settings) -> Iterator[Mistake]:
    for i, model in enumerate(settings.models):
        if missing := unbuilt_safeguards(model.tier):
            yield Mistake(
                ("models", i, "tier"),
                f"tier {model.tier} requires safeguards that this version "
                f"does not have yet: {', '.join(missing)}; tiers 0 to 2 can be served "
                "(a model without a tier is tier 4)",
            )


def _check_access(settings: Settings) -> Iterator[Mistake]:
    """Yield what asks less of callers than a model's tier does."""
    for i, model in enumerate(settings.models):
        if model.adapter and Safeguard.ADAPTERS not in TIERS[model.tier].requires:
            yield Mistake(("models", i, "tier"), "an adapter is at least tier 2")
    for number, policy in settings.access.tiers.items():
        required = TIERS[number].end_users != "optional"
        if required and policy.end_users == "optional":
            yield Mistake(
                ("access", "tiers", str(number), "end_users"),
                f"tier {number} requires that requests name their end user: set required or signed",
            )


def _check_models_of_points(settings: Settings) -> Iterator[Mistake]:
    models = {m.name for m in settings.models}
    for i, point in enumerate(settings.operating_points):
        for j, name in enumerate(point.models):
            if name not in models:
                yield Mistake(
                    ("operating_points", i, "models", j),
                    f"no model is named {name!r}; there are: {', '.join(sorted(models))}",
                )


def _check_topics(settings: Settings) -> Iterator[Mistake]:
    log = settings.event_log
    if isinstance(log, KafkaLog) and len(set(log.topics.model_dump().values())) < _TOPICS:
        yield Mistake(("event_log", "topics"), "two topics share a name, each needs its own")


def _check_listeners(settings: Settings) -> Iterator[Mistake]:
    """Two servers of ours cannot have one port; 0 is whatever is free."""
    taken: dict[int, str] = {}
    for section, port in (
        ("gateway", settings.gateway.port),
        ("console", settings.console.port),
        ("ops", settings.ops.port),
    ):
        if port and port in taken:
            yield Mistake((section, "port"), f"{port} is taken by {taken[port]}.port")
        taken[port] = section


def _check_limits(settings: Settings) -> Iterator[Mistake]:
    limits, workers = settings.limits, settings.gateway.workers
    if isinstance(limits, MemoryLimits) and workers > 1:
        yield Mistake(
            ("gateway", "workers"),
            f"limits.kind: memory counts in one process, and these are {workers}: "
            "set workers to 1, or limits to {kind: redis, url: URL, gateways: NUMBER}",
        )
    if isinstance(limits, RedisLimits) and workers > limits.gateways:
        yield Mistake(
            ("limits", "gateways"),
            f"expected the number of all gateway processes, and gateway.workers alone is {workers}",
        )


CHECKS: Final = (
    Check(frozenset({"gateway", "limits"}), _check_limits),
    Check(frozenset({"upstreams"}), _check_names),
    Check(frozenset({"upstreams"}), check_sockets),
    Check(frozenset({"models"}), _check_model_names),
    Check(frozenset({"operating_points"}), _check_point_names),
    Check(frozenset({"detectors"}), lambda settings: check_detectors(settings.detectors)),
    Check(frozenset({"gateway", "console", "ops"}), _check_listeners),
    Check(frozenset({"gateway", "console", "ops", "upstreams"}), check_listeners),
    Check(frozenset({"event_log"}), _check_topics),
    Check(frozenset({"auth"}), check_issuers),
    Check(frozenset({"models", "upstreams"}), _check_upstreams),
    Check(frozenset({"models"}), _check_tiers),
    Check(frozenset({"models", "access"}), _check_access),
    Check(frozenset({"models", "operating_points"}), _check_models_of_points),
    Check(frozenset({"models", "screening", "operating_points"}), check_answer_windows),
    Check(frozenset({"models", "screening", "operating_points"}), check_answer_points),
)
