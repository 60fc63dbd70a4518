"""What judges have used and where they disagree with other detectors, shown as metrics."""

import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import permutations
from typing import Final

from prometheus_client import Counter

from detectors.api import Category, Detector, Scores
from detectors.cascade import Cascade
from detectors.judge import Direction, Judge, Totals, disagreements
from service.events.schema import Verdict
from service.telemetry.judge_metrics import JudgeMetrics

_LOOK_S: Final = 2.0
"""Between two looks at what was used, much less than between two scrapes."""
_SURE_OF_NONE: Final = 0.2
_SURE: Final = 0.8
_SEEN_BY: Final = {Direction.FIRST: "judge", Direction.SECOND: "detector"}


def _at_work(detectors: Sequence[Detector]) -> Iterator[Detector]:
    """Yield the detectors, and in the place of a cascade its stages."""
    for one in detectors:
        if isinstance(one, Cascade):
            yield from _at_work([stage.detector for stage in one.stages])
        else:
            yield one


class JudgeWatch:
    """Shows what judges have used since they were made."""

    def __init__(self, detectors: Sequence[Detector], metrics: JudgeMetrics) -> None:
        """Show all series of the judges among these detectors, and among their stages."""
        self._judges = [it for it in _at_work(detectors) if isinstance(it, Judge)]
        self._metrics = metrics
        self._shown: dict[Counter, float] = defaultdict(float)
        self.look()

    def run(self, stop: threading.Event) -> None:
        """Look until told to stop."""
        while not stop.wait(_LOOK_S):
            self.look()

    def look(self) -> None:
        """Add what came since the last look; one thread looks at a time."""
        for judge in self._judges:
            for counter, total in self._counted(judge.name, judge.usage.totals()):
                counter.inc(total - self._shown[counter])
                self._shown[counter] = total
            self._metrics.breaker_open.labels(judge.name).set(judge.is_paused)

    def _counted(self, name: str, totals: Totals) -> Iterator[tuple[Counter, float]]:
        metrics = self._metrics
        yield metrics.requests.labels(name), totals.requests
        yield metrics.retries.labels(name), totals.retries
        yield metrics.request_seconds.labels(name), totals.seconds
        yield metrics.tokens.labels(name, "prompt"), totals.prompt_tokens
        yield metrics.tokens.labels(name, "completion"), totals.completion_tokens
        yield metrics.cost.labels(name), totals.cost
        for outcome, count in totals.outcomes.items():
            yield metrics.windows.labels(name, outcome), count


class DisagreementCount:
    """Counts where a judge and another detector are sure of the opposite, from their verdicts."""

    def __init__(
        self,
        detectors: Sequence[Detector],
        categories: Mapping[str, Collection[Category]],
        metrics: JudgeMetrics,
    ) -> None:
        """Count none yet of any pair; `categories` are what detectors give scores for, by name."""
        pairs = [it for it in permutations(_at_work(detectors), 2) if isinstance(it[0], Judge)]
        self._pairs = [(judge.name, other.name) for judge, other in pairs]
        self._metrics = metrics
        for judge, other in self._pairs:
            for category in {*categories[judge]} & {*categories[other]}:
                for seen_by in _SEEN_BY.values():
                    metrics.disagreements.labels(judge, other, category, seen_by)

    def __call__(self, verdicts: Sequence[Verdict]) -> None:
        """Count those of a batch; all verdicts on a text are in the same one."""
        by_text: dict[tuple[str, str], dict[str, Scores]] = defaultdict(dict)
        for it in verdicts:
            known = {name: score for name, score in it.scores.items() if name in set(Category)}
            scores = {Category(category): score for category, score in known.items()}
            by_text[it.exchange_id, it.part][it.detector] = scores
        for judge, other in self._pairs:
            scored = [(of.get(judge), of.get(other)) for of in by_text.values()]
            found = disagreements(scored, _SURE_OF_NONE, _SURE)
            for (category, direction), count in found.items():
                labels = (judge, other, category, _SEEN_BY[direction])
                self._metrics.disagreements.labels(*labels).inc(count)
