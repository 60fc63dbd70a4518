"""What the metrics tell of judges: of a real guard, in a cascade as the settings make it."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from detectors.judge import KINDS
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.wiring.detectors import detectors_of
from service.wiring.judges import DisagreementCount, JudgeWatch
from service.workers.screener import Screener
from tests.real_parts.guard import DEADLINE_S, Answer, Asked, Guard, said
from tests.real_parts.installation import installation
from tests.real_parts.serving import until
from tests.unit.service.workers.screening_parts import NOW, MemoryWriter, prompt

HARMLESS = "What is the capital of France?"


class Screening:
    """A screener whose cascade asks a guard about everything, and what the metrics tell then."""

    def __init__(self, guard: Guard, **changed: object) -> None:
        there_are = detectors_of(settings(sections(guard.url, **changed)))
        self.registry = CollectorRegistry()
        metrics = Metrics(self.registry)
        working = there_are.working()
        self.watch = JudgeWatch(working, metrics.judges)
        self._screener = Screener(
            working,
            tuple,
            MemoryWriter(),
            metrics,
            lambda: NOW,
            heard=DisagreementCount(working, there_are.categories, metrics.judges),
        )

    def __call__(self, *texts: str) -> None:
        self._screener.handle([prompt(text, f"ex-{n}") for n, text in enumerate(texts)])
        self.watch.look()

    def value(self, name: str, **labels: str) -> float | None:
        labels = {"judge": "guard-20b", **labels}
        return self.registry.get_sample_value(f"watchgate_judge_{name}", labels)

    def windows(self) -> dict[str, float | None]:
        outcomes = ("scored", "by_label_alone", *sorted(KINDS))
        return {it: self.value("windows_total", outcome=it) for it in outcomes}

    def disagreements(self, seen_by: str, category: str = "any") -> float | None:
        labels = {"detector": "lexical", "category": category, "seen_by": seen_by}
        return self.value("disagreements_total", **labels)


def sections(url: str, **changed: object) -> list[dict[str, Any]]:
    judge = {
        "kind": "judge",
        "name": "guard-20b",
        "url": url,
        "model": "guard",
        "family": "qwen3guard",
        "prompt_price_per_million": 1_000_000,
        "completion_price_per_million": 2_000_000,
    }
    stages = [{"detector": "lexical"}, {"detector": "guard-20b"}]
    return [{"kind": "lexical"}, judge | changed, {"kind": "cascade", "stages": stages}]


def settings(detectors: list[dict[str, Any]]) -> Settings:
    given = {
        "upstreams": [{"name": "u", "url": "http://a:1"}],
        "models": [{"name": "m", "upstream": "u", "tier": 1}],
    }
    return Settings.model_validate(given | {"detectors": detectors})


def script(asked: Asked) -> Answer:
    if "prose" in asked.said:
        return said("I would rather not say.")
    if "away" in asked.said:
        return Answer(b"{}", 429)
    return said("Safety: Unsafe\nCategories: Violent")


@pytest.fixture
def guard() -> Iterator[Guard]:
    with Guard(script) as guard:
        yield guard


def test_every_series_of_a_judge_is_there_before_it_is_asked(guard: Guard) -> None:
    screening = Screening(guard)
    for name in ("requests_total", "retries_total", "request_seconds_total", "cost_total"):
        assert screening.value(name) == 0
    assert [screening.value("tokens_total", kind=it) for it in ("prompt", "completion")] == [0, 0]
    assert set(screening.windows().values()) == {0}
    assert screening.value("breaker_open") == 0
    assert screening.disagreements("judge") == screening.disagreements("detector") == 0
    assert guard.asked == []


def test_what_a_judge_used_is_counted_once_however_often_it_is_looked_at(guard: Guard) -> None:
    screening = Screening(guard)
    screening(HARMLESS, "some prose", "away for once")
    screening("another text")
    screening.watch.look()
    found = {outcome: count for outcome, count in screening.windows().items() if count}
    assert found == {"by_label_alone": 2, "unparseable": 1, "busy": 1}
    assert screening.value("requests_total") == len(guard.asked) == 4
    tokens = [screening.value("tokens_total", kind=it) for it in ("prompt", "completion")]
    assert tokens == [300, 30]
    assert screening.value("cost_total") == pytest.approx(360)
    assert screening.value("request_seconds_total", judge="guard-20b")


def test_a_guard_that_is_left_alone_shows_as_such(guard: Guard) -> None:
    screening = Screening(guard, max_concurrency=1, retries=0, pause_s=3600)
    screening(*(f"away {number}" for number in range(6)))
    assert screening.value("breaker_open") == 1
    assert screening.windows()["paused"] == 2
    screening = Screening(guard, max_concurrency=1, retries=0, pause_s=0)
    screening(*(f"away {number}" for number in range(6)))
    assert screening.value("breaker_open") == 0


def test_where_the_judge_and_the_detector_before_it_are_sure_of_the_opposite(guard: Guard) -> None:
    screening = Screening(guard)
    screening(HARMLESS, "some prose")
    assert screening.disagreements("judge") == 1
    assert screening.disagreements("detector") == 0


def test_a_thread_looks_until_it_is_told_to_stop(guard: Guard) -> None:
    screening, stop = Screening(guard), threading.Event()
    thread = threading.Thread(target=screening.watch.run, args=(stop,))
    thread.start()
    stop.set()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


def test_an_installation_shows_what_its_judge_used(tmp_path: Path, guard: Guard) -> None:
    series = "watchgate_judge_windows_total"
    with installation(tmp_path, detectors=sections(guard.url)) as one:
        assert one.metric(series, judge="guard-20b", outcome="timeout") == 0
        one.chat(HARMLESS)
        until(lambda: one.metric(series, judge="guard-20b", outcome="by_label_alone") > 0, 20)
        assert one.metric("watchgate_judge_requests_total", judge="guard-20b") >= 1
