"""Counts verdicts: a batch at a time, as an exchange has some ten verdicts and thirty scores."""

from collections import Counter
from collections.abc import Sequence
from functools import cache

from prometheus_client import Histogram

from service.core.screening import NONE, gravest
from service.events.schema import Verdict
from service.telemetry.metrics import Metrics


class VerdictCounts:
    """Tells the metrics what is in verdicts."""

    def __init__(self, metrics: Metrics) -> None:
        """Keep the metrics; detectors and categories are few, so their histograms are kept."""
        self._metrics = metrics
        self._histogram = cache(self._find_histogram)

    def count(self, verdicts: Sequence[Verdict]) -> None:
        """Count a batch."""
        acted: Counter[tuple[str, str, str]] = Counter()
        for verdict in verdicts:
            if verdict.unscanned is not None:
                self._metrics.unscanned.labels(verdict.model, verdict.unscanned).inc()
            for category, score in verdict.scores.items():
                self._histogram(verdict.detector, category).observe(score)
                action = _action(verdict, category) if verdict.crossed else NONE
                acted[verdict.detector, category, action] += 1
        for labels, number in acted.items():
            self._metrics.verdicts.labels(*labels).inc(number)

    def _find_histogram(self, detector: str, category: str) -> Histogram:
        return self._metrics.score.labels(detector, category)


def _action(verdict: Verdict, category: str) -> str:
    return gravest(it.action for it in verdict.crossed if it.category == category)
