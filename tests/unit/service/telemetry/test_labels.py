"""Labels whose values come from elsewhere."""

from prometheus_client import CollectorRegistry, Counter

from service.telemetry.labels import OTHER, Known, declare


def test_what_is_in_no_closed_set_is_told_as_one() -> None:
    model = Known(["small", "large"])
    assert [model(name) for name in ("small", "large", "made up", "")] == [
        "small",
        "large",
        OTHER,
        OTHER,
    ]
    assert Known()("whatever") == "whatever"


def test_each_combination_that_is_declared_stands_at_0() -> None:
    registry = CollectorRegistry()
    counter = Counter("c", "C.", ["model", "reason"], registry=registry)
    declare(counter, ["a", "b"], ["x", "y", "z"])
    values = {
        (it.labels["model"], it.labels["reason"]): it.value
        for family in registry.collect()
        for it in family.samples
        if it.name == "c_total"
    }
    assert values == {(model, reason): 0 for model in "ab" for reason in "xyz"}
