"""Counts verdicts: a batch at a time, as an exchange has some ten verdicts and thirty scores."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

from prometheus_client import Histogram

from service.core.screening import ACTIONS, NONE, gravest
from service.events.schema import Verdict
from service.telemetry.metrics import Metrics


class VerdictCounts:
    """Tells the metrics what is in verdicts."""

    def __init__(self, metrics: Metrics) -> None:
        """Keep the metrics; detectors and categories are few, so their histograms are kept."""
        self._metrics = metrics
        self._histogram = cache(self._find_histogram)

    def declare(self, models: Iterable[str]) -> None:
        """Show 0 of these models from the start."""
        for model in models:
            for action in ACTIONS:
                self._metrics.flagged.labels(model, action)

    def count(self, verdicts: Sequence[Verdict]) -> None:
        """Count a batch."""
        acted: Counter[tuple[str, str, str]] = Counter()
        flagged: Counter[tuple[str, str]] = Counter()
        for verdict in verdicts:
            if verdict.unscanned is not None:
                self._metrics.unscanned.labels(verdict.model, verdict.unscanned).inc()
            if verdict.crossed:
                flagged[verdict.model, gravest(it.action for it in verdict.crossed)] += 1
            for category, score in verdict.scores.items():
                self._histogram(verdict.detector, category).observe(score)
                action = _action(verdict, category) if verdict.crossed else NONE
                acted[verdict.detector, category, action] += 1
        for labels, number in acted.items():
            self._metrics.verdicts.labels(*labels).inc(number)
        for model_action, number in flagged.items():
            self._metrics.flagged.labels(*model_action).inc(number)

    def _find_histogram(self, detector: str, category: str) -> Histogram:
        return self._metrics.score.labels(detector, category)


def _action(verdict: Verdict, category: str) -> str:
    return gravest(it.action for it in verdict.crossed if it.category == category)
