"""The metrics' definitions."""

from prometheus_client import CollectorRegistry

from service.telemetry.making import PREFIX
from service.telemetry.metrics import Metrics

CLOSED_SETS = {
    "action", "category", "certificate", "decision", "detector", "group", "issuer", "judge",
    "kind", "model", "outcome", "phase", "process", "reason", "replica", "role", "safeguard",
    "seen_by", "source", "stage", "state", "surface", "topic", "upstream",
    "version",  # of a detector (as many as are put in place while a process runs), of Watchgate
}  # fmt: skip


def test_every_metric_is_described_and_has_labels_from_closed_sets_alone() -> None:
    specs = Metrics(CollectorRegistry()).specs
    assert len({spec.name for spec in specs}) == len(specs)
    for spec in specs:
        assert spec.name.startswith(PREFIX)
        assert spec.help.endswith(".")
        assert set(spec.labels) <= CLOSED_SETS, spec.name


def test_names_follow_the_conventions_of_prometheus() -> None:
    for spec in Metrics(CollectorRegistry()).specs:
        assert spec.name.endswith("_total") == (spec.kind == "counter"), spec.name
