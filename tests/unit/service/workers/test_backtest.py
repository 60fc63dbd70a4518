from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs
from prometheus_client import CollectorRegistry

from detectors.api import Category, Detector, Part
from detectors.cascade import Cascade, Stage
from service.core.probed import Probed, Reading
from service.core.screening import Point
from service.events.log import Position, Received, Record
from service.events.schema import Crossing, Screening
from service.store.alerts import list_alerts
from service.telemetry.metrics import Metrics
from service.workers.backtest import CANDIDATE, backtest, scores_of
from service.workers.enforcer import Enforcer
from service.workers.screener import Screener
from tests.real_parts.reading_detector import PROBES, InsideDetector
from tests.real_parts.store import new_store
from tests.unit.service.workers.screening_parts import (
    NOW,
    MemoryWriter,
    WordDetector,
    answer,
    answer_content,
    chat_body,
    closed,
    opened,
    prompt,
    received,
)

PAGE = Point("op_1", "words", Category.ANY, Part.PROMPT, 0.5, "page", frozenset(), version=2)
DAY = 86400.0


def stretch() -> list[Received]:
    """Two days: of six exchanges two have the word in the prompt, one in the answer."""
    texts = [("bad", "fine"), ("fine", "bad"), ("fine", "fine"), ("bad", "fine"), ("x", "y")]
    records = []
    for number, (question, said) in enumerate(texts):
        id_, at = f"ex-{number}", number * DAY / 2
        records.append(received(opened(id_, at=at), chat_body(question)))
        records.append(received(closed(id_, at=at + 1, opened_at=at), answer_content(said)))
    return records


def test_what_fired_is_told_by_day_with_examples() -> None:
    report = backtest(stretch(), [WordDetector()], PAGE, [], 10).report()
    assert (report["looked_at"], report["fires"], report["new"]) == (5, 2, 2)
    assert [(it["day"], it["fires"]) for it in report["places"]] == [
        ("1970-01-01", 1),
        ("1970-01-02", 1),
    ]
    assert report["examples"]["new"] == ["ex-0", "ex-3"]


def test_a_candidate_stands_against_the_version_that_is_active() -> None:
    active = replace(PAGE, version=1, threshold=0.95)
    report = backtest(stretch(), [WordDetector()], PAGE, [active], 10).report()
    assert (report["fires"], report["todays"], report["new"]) == (2, 0, 2)
    same = backtest(stretch(), [WordDetector()], PAGE, [PAGE], 10).report()
    assert (same["candidate"]["point"], same["fires"], same["new"]) == (CANDIDATE, 2, 0)


def test_records_that_cannot_be_read_are_passed_over() -> None:
    [good, *_] = stretch()
    bad = Received(structs.replace(good.record, body=b"\xe2"), Position("gateway-0", 1, 9))
    report = backtest([bad, good], [WordDetector()], PAGE, [], 10).report()
    assert (report["looked_at"], report["fires"]) == (1, 1)


def test_the_stages_of_a_cascade_are_one_look_at_a_part() -> None:
    cascade = Cascade("suite", [Stage(WordDetector()), Stage(WordDetector("dear"))])
    candidate = replace(PAGE, detector="dear")
    report = backtest(stretch(), [cascade], candidate, [replace(PAGE, name="old")], 10).report()
    assert (report["looked_at"], report["fires"], report["todays"], report["new"]) == (5, 2, 2, 0)


def test_a_prompt_is_one_look_though_probes_tell_of_it_later() -> None:
    told = Probed(PROBES, ("any",), prompt=Reading(9, 9, (2.0,)))
    records = [received(opened(f"ex-{n}", at=n), chat_body("bad")) for n in range(3)]
    records += [
        received(structs.replace(closed(f"ex-{n}", at=n + 5.0), probed=told), answer_content("a"))
        for n in range(3)
    ]
    detectors: list[Detector] = [WordDetector(), InsideDetector()]
    candidate = replace(PAGE, detector=InsideDetector().name)
    report = backtest(records, detectors, candidate, [], 10).report()
    assert (report["looked_at"], report["fires"], report["new"]) == (3, 3, 3)
    scores, seconds = scores_of(records, detectors, candidate)
    assert scores == pytest.approx([0.88] * 3, abs=0.01)
    assert seconds == 7.0


def test_an_exchange_that_nothing_was_told_of_is_passed_over() -> None:
    nothing = structs.replace(closed("ex-1", at=5.0), probed=Probed("", ()))
    records = [received(nothing, answer_content("a"))]
    candidate = replace(PAGE, detector=InsideDetector().name)
    report = backtest(records, [WordDetector(), InsideDetector()], candidate, [], 10).report()
    assert (report["looked_at"], report["fires"]) == (0, 0)


def test_scores_of_a_point_are_those_of_its_scope() -> None:
    point = replace(PAGE, part=Part.ANSWER, threshold=0.99)
    scores, seconds = scores_of(stretch(), [WordDetector()], point)
    assert sorted(scores) == [0.1, 0.1, 0.1, 0.1, 0.9]
    assert seconds == pytest.approx(2 * DAY + 1)
    assert scores_of([], [WordDetector()], point) == ([], 0.0)


@pytest.mark.parametrize("part", [Part.PROMPT, Part.ANSWER, Part.EXCHANGE])
def test_what_a_backtest_says_is_what_alerts_once_the_point_is_promoted(
    tmp_path: Path, part: Part
) -> None:
    candidate = replace(PAGE, part=part)
    traffic = [
        prompt("a bad one", "a"),
        answer("bad", "a"),
        prompt("fine", "b"),
        answer("bad", "b"),
    ]
    detectors = [WordDetector(parts=frozenset(Part))]
    said = backtest(traffic, detectors, candidate, [], 10).report()
    writer = MemoryWriter()
    metrics = Metrics(CollectorRegistry())
    Screener(detectors, lambda: [candidate], writer, metrics, lambda: NOW).handle(traffic)
    store = new_store(tmp_path / "watchgate.db")
    Enforcer(store, clock=lambda: NOW).handle(_read(writer.records))
    with store.read() as connection:
        alerts = list_alerts(connection)
    assert sum(alert.count for alert in alerts) == said["fires"] > 0
    assert {alert.last_exchange_id for alert in alerts} <= set(said["examples"]["new"])
    store.close()


def _read(records: Sequence[Record]) -> list[Received]:
    return [Received(it, Position("screener-0", 1, n)) for n, it in enumerate(records, 1)]


def test_what_the_gateway_crossed_when_it_came_is_no_score_of_today() -> None:
    then = Crossing("old", "any", 0.99, 0.2, "page", detector="words")
    screening = Screening("block", ("words/2",), (then,))
    record = received(structs.replace(opened(), screening=screening), chat_body("fine"))
    today = replace(PAGE, name="old", version=0, threshold=0.5)

    assert scores_of([record], [WordDetector()], PAGE)[0] == [0.1]
    assert backtest([record], [WordDetector()], PAGE, [today], 10).report()["todays"] == 0


def test_what_is_scored_together_is_bounded_by_its_size() -> None:
    texts = ["x" * 3_000_000] * 5 + ["x" * 20_000_000] + ["y"] * 600
    records = [prompt(text, f"ex-{n}") for n, text in enumerate(texts)]
    detector = WordDetector()
    report = backtest(records, [detector], PAGE, [], 10).report()
    sizes = [[len(sample.text) for sample in batch] for batch in detector.batches]
    assert [len(it) for it in sizes] == [2, 2, 1, 1, 256, 256, 88]
    assert all(len(it) == 1 or sum(it) <= 8 * 2**20 for it in sizes)
    assert report["looked_at"] == len(texts)


def test_a_record_that_comes_again_counts_once() -> None:
    records = stretch()
    said = backtest(records, [WordDetector()], PAGE, [], 10).report()
    repeated = [*records[:4], *records[:6], *records[4:]]
    assert backtest(repeated, [WordDetector()], PAGE, [], 10).report() == said
