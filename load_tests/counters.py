"""What Watchgate's own metrics count, and whether everything that was served is screened."""

import urllib.request
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

COUNTERS: Final = ("served", "recorded", "screened")
GAUGES_OF_REST: Final = ("watchgate_in_flight_requests", "watchgate_coverage_gap_exchanges")


def counted(ops_url: str) -> dict[str, float]:
    """The three counters of exchanges and the gauges that are 0 at rest, over all models."""
    with urllib.request.urlopen(f"{ops_url}/metrics", timeout=10) as answer:  # noqa: S310
        text = answer.read().decode()
    totals: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            totals[sample.name] += sample.value
    counters = {name: totals[f"watchgate_exchanges_{name}_total"] for name in COUNTERS}
    return counters | {name: totals[name] for name in GAUGES_OF_REST}


def is_at_rest(counts: Mapping[str, float]) -> bool:
    """Whether nothing is in flight, and all that was served is recorded and screened."""
    alike = len({counts[name] for name in COUNTERS}) == 1
    return alike and not any(counts[name] for name in GAUGES_OF_REST)
