"""The tables of docs/metrics.md, errors.md, surfaces.md, tiers.md and audit.md."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from scripts.docs_tables import Table, code, sentence
from service.core.audit import Action
from service.core.surfaces import SURFACES
from service.core.tiers import BUILT, TIERS, Safeguard, unbuilt_safeguards
from service.gateway.problems import PROBLEMS
from service.telemetry.metrics import Metrics


def metrics() -> Sequence[Table]:
    """Every metric, as its definition says."""
    rows = [
        [code(spec.name), spec.kind, ", ".join(map(code, spec.labels)), spec.help]
        for spec in Metrics(CollectorRegistry()).specs
    ]
    return [Table(["metric", "kind", "labels", "what it is"], rows)]


def errors() -> Sequence[Table]:
    """Every code that a caller may see, with its status and type."""
    found: dict[str, tuple[set[int], str, set[str]]] = {
        "internal_error": ({500}, "server_error", {"a fault of the gateway"})
    }
    for error, problem in PROBLEMS.items():
        statuses, _, whens = found.setdefault(problem.code, (set(), problem.type, set()))
        statuses.add(problem.status)
        whens.add(sentence(error.__doc__).rstrip("."))
    rows = [
        [code(name), ", ".join(map(str, sorted(statuses))), code(type_), "; ".join(sorted(whens))]
        for name, (statuses, type_, whens) in sorted(found.items(), key=lambda it: min(it[1][0]))
    ]
    return [Table(["code", "status", "type", "when"], rows, words="what to do")]


def actions() -> Sequence[Table]:
    """Everything that the audit log tells of."""
    return [Table(["action"], [[code(it)] for it in Action], words="what was done")]


def surfaces() -> Sequence[Table]:
    """Each API, where it is, and the fields of a request that it takes from tier 1 on."""
    rows = [
        [code(name), code(it.path), ", ".join(map(code, sorted(it.parameters)))]
        for name, it in SURFACES.items()
    ]
    return [Table(["surface", "path", "fields from tier 1 on"], rows)]


def tiers() -> Sequence[Table]:
    """What each tier requires, and whether this version can serve it."""
    rows = []
    required: frozenset[Safeguard] = frozenset()
    for tier in TIERS:
        added = [code(it) for it in Safeguard if it in tier.requires - required]
        required = tier.requires
        lag = "no bound" if tier.max_screening_lag_s is None else f"{tier.max_screening_lag_s:g} s"
        served = "no" if unbuilt_safeguards(tier.number) else "yes"
        stale, name = f"{tier.max_store_staleness_s:g} s", code(f"{tier.number} {tier.name}")
        rows.append([name, ", ".join(added), tier.evidence, lag, stale, served])
    headings = [
        "tier", "requires, beyond the tier above", "evidence", "screening lag", "store heard of",
        "served",
    ]  # fmt: skip
    return [Table(headings, rows, words="for")]


def safeguards() -> Sequence[Table]:
    """Each safeguard, and whether this version can prove it active."""
    rows = [[code(it), "yes" if it in BUILT else "not yet"] for it in Safeguard]
    return [Table(["safeguard", "built"], rows, words="active while")]
