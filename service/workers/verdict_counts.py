"""Counts verdicts: a batch at a time, as an exchange has some ten verdicts and thirty scores."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cache

from prometheus_client import Histogram

from detectors.api import Category
from service.core.screening import ACTIONS, NONE, NOT_SCANNED, OUTCOMES, gravest
from service.events.schema import Verdict
from service.telemetry.labels import Known, declare
from service.telemetry.metrics import Metrics

_category = Known(Category)


class VerdictCounts:
    """Tells the metrics what is in verdicts."""

    def __init__(self, metrics: Metrics) -> None:
        """Keep the metrics; detectors and categories are few, so their histograms are kept."""
        self._metrics = metrics
        self._histogram = cache(self._find_histogram)
        self._model = self._detector = Known()

    def declare(self, models: Collection[str], scored: Mapping[str, Collection[Category]]) -> None:
        """Show 0 of these models and detectors from the start, and take others together.

        `scored` are the categories that each detector gives scores for.
        """
        metrics = self._metrics
        self._model, self._detector = Known(models), Known(scored)
        declare(metrics.flagged, models, ACTIONS)
        declare(metrics.unscanned, models, NOT_SCANNED)
        for detector, categories in scored.items():
            declare(metrics.verdicts, [detector], categories, OUTCOMES)
            declare(metrics.score, [detector], categories)

    def count(self, verdicts: Sequence[Verdict]) -> None:
        """Count a batch."""
        acted: Counter[tuple[str, str, str]] = Counter()
        flagged: Counter[tuple[str, str]] = Counter()
        for verdict in verdicts:
            model, detector = self._model(verdict.model), self._detector(verdict.detector)
            if verdict.unscanned is not None:
                self._metrics.unscanned.labels(model, verdict.unscanned).inc()
            if verdict.crossed:
                flagged[model, gravest(it.action for it in verdict.crossed)] += 1
            for category, score in verdict.scores.items():
                action = _action(verdict, category) if verdict.crossed else NONE
                told = _category(category)
                self._histogram(detector, told).observe(score)
                acted[detector, told, action] += 1
        for labels, number in acted.items():
            self._metrics.verdicts.labels(*labels).inc(number)
        for model_action, number in flagged.items():
            self._metrics.flagged.labels(*model_action).inc(number)

    def _find_histogram(self, detector: str, category: str) -> Histogram:
        return self._metrics.score.labels(detector, category)


def _action(verdict: Verdict, category: str) -> str:
    return gravest(it.action for it in verdict.crossed if it.category == category)
