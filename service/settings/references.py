"""Names that stand for nothing, or for two things, and tiers that cannot be kept."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from service.core.tiers import unbuilt_safeguards
from service.settings.answer_windows import check_answer_points, check_answer_windows
from service.settings.issuers import check_issuers
from service.settings.mistakes import Mistake
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
                f"does not have yet: {', '.join(missing)}; tiers 0 and 1 can be served "
                "(a model without a tier is tier 4)",
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


CHECKS: Final = (
    Check(frozenset({"upstreams"}), _check_names),
    Check(frozenset({"models"}), _check_model_names),
    Check(frozenset({"operating_points"}), _check_point_names),
    Check(frozenset({"gateway", "console", "ops"}), _check_listeners),
    Check(frozenset({"event_log"}), _check_topics),
    Check(frozenset({"auth"}), check_issuers),
    Check(frozenset({"models", "upstreams"}), _check_upstreams),
    Check(frozenset({"models"}), _check_tiers),
    Check(frozenset({"models", "operating_points"}), _check_models_of_points),
    Check(frozenset({"models", "screening", "operating_points"}), check_answer_windows),
    Check(frozenset({"models", "screening", "operating_points"}), check_answer_points),
)
