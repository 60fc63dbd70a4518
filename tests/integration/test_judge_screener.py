"""A judge in the screener: what its failures become is a verdict, and never a score."""

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from detectors.judge import Judge, JudgeConfig
from service.events.schema import Verdict
from service.telemetry.metrics import Metrics
from service.workers.screener import Screener
from tests.real_parts.guard import Answer, Asked, Guard, said
from tests.unit.service.workers.screening_parts import NOW, MemoryWriter, answer, prompt


def script(asked: Asked) -> Answer:
    """Answer as Qwen3Guard does; in prose about what is `bad`, with 503 about what is `away`."""
    if "bad" in asked.said:
        return said("This text is bad.")
    if "away" in asked.said:
        return Answer(b"{}", 503, {"retry-after": "3600"})
    refusal = "\nRefusal: No" if len(asked.body["messages"]) > 1 else ""
    return said(f"Safety: Safe\nCategories: None{refusal}")


@pytest.fixture
def guard() -> Iterator[Guard]:
    with Guard(script) as guard:
        yield guard


@pytest.fixture
def judge(guard: Guard) -> Iterator[Judge]:
    judge = Judge(JudgeConfig(name="judge", url=guard.url, model="guard", family="qwen3guard"))
    yield judge
    judge.close()


def verdicts_of(judge: Judge, *texts: str) -> list[Verdict]:
    writer = MemoryWriter()
    screener = Screener([judge], [], writer, Metrics(CollectorRegistry()), clock=lambda: NOW)
    screener.handle([prompt(text, f"ex-{number}") for number, text in enumerate(texts)])
    return list(writer.verdicts)


def test_a_sample_that_fails_is_unscanned_and_the_others_are_scored(
    guard: Guard, judge: Judge
) -> None:
    verdicts = verdicts_of(judge, "one", "bad", "two", "away", "three")
    unscanned = [verdict.unscanned for verdict in verdicts]
    assert unscanned == [None, "detector_error", None, "detector_error", None]
    assert [bool(verdict.scores) for verdict in verdicts] == [True, False, True, False, True]
    assert [verdict.completes for verdict in verdicts] == [True, False, True, False, True]
    assert len(guard.asked) == 5, "the screener's second look costs nothing"
    assert judge.usage.totals().errors == {"unparseable": 1, "busy": 1}


def test_verdicts_name_the_judge_and_its_version(judge: Judge) -> None:
    [verdict] = verdicts_of(judge, "one")
    assert (verdict.detector, verdict.version) == ("judge", judge.version)
    assert verdict.scores["any"] == pytest.approx(0.05)


def test_answers_are_judged_too(judge: Judge) -> None:
    writer = MemoryWriter()
    screener = Screener([judge], [], writer, Metrics(CollectorRegistry()), clock=lambda: NOW)
    screener.handle([answer("an answer")])
    [verdict] = writer.verdicts
    assert (verdict.part, verdict.unscanned) == ("answer", None)
