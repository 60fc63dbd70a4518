"""Counting in plain numbers gives what counting in metrics gives."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest

from service.telemetry.tally import Tallies

STEPS = st.lists(
    st.floats(0, 20) | st.sampled_from([0.1, 1.0, 10.0, 1e9]) | st.just("flush"), max_size=40
)


def make() -> tuple[CollectorRegistry, Counter, Histogram]:
    registry = CollectorRegistry()
    buckets = (0.1, 1.0, 10.0)
    return (
        registry,
        Counter("c", "C", registry=registry),
        Histogram("h", "H", buckets=buckets, registry=registry),
    )


def text(registry: CollectorRegistry) -> str:
    lines = generate_latest(registry).decode().splitlines()
    return "\n".join(line for line in lines if "_created" not in line)


@given(STEPS)
def test_tallies_end_where_direct_counting_does(steps: list[float | str]) -> None:
    tallied, counter, histogram = make()
    direct, its_counter, its_histogram = make()
    tallies = Tallies()
    count, observed = tallies.counter(counter), tallies.histogram(histogram)
    for step in steps:
        if isinstance(step, str):
            tallies.flush()
        else:
            count.total += 1
            its_counter.inc()
            observed.observe(step)
            its_histogram.observe(step)
    tallies.flush()
    tallies.flush()
    got, expected = text(tallied), text(direct)
    assert _without_sum(got) == _without_sum(expected)
    assert abs(_sum(got) - _sum(expected)) <= 1e-6 * max(1.0, _sum(expected))


def _without_sum(exposed: str) -> list[str]:
    return [line for line in exposed.splitlines() if not line.startswith("h_sum")]


def _sum(exposed: str) -> float:
    (line,) = [line for line in exposed.splitlines() if line.startswith("h_sum")]
    return float(line.split()[1])
