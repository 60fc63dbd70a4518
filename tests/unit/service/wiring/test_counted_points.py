"""Points that are ignored: counted by a metric that can be alerted on, and named in the log."""

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from detectors.api import Category, Part
from service.core.points import tally
from service.core.screening import Point
from service.telemetry.metrics import Metrics
from service.wiring.parts import counted_points

POINT = Point("op_1", "words", Category.ANY, Part.PROMPT, 0.5, "page", frozenset(), version=1)


def test_ignored_points_are_counted_and_named_in_the_log_when_they_change(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry = CollectorRegistry()
    count = counted_points(Metrics(registry))
    known = [POINT, replace(POINT, name="op_3", detector="b"), replace(POINT, name="op_2")]

    def see(*detectors: str) -> float | None:
        for counted in tally(known, 0.0, lambda point: point.detector in detectors):
            count(*counted)
        labels = {"source": "store", "state": "ignored"}
        return registry.get_sample_value("watchgate_operating_points", labels)

    assert (see("words", "b"), caplog.messages) == (0, [])
    assert (see("b"), see("b")) == (2, 2)
    assert (see(), see("words", "b")) == (3, 0)
    told = "operating points of the store that are ignored here: "
    assert caplog.messages == [
        f"{told}op_1, op_2", f"{told}op_1, op_2, op_3", f"{told}none",
    ]  # fmt: skip
