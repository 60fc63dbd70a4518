import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from msgspec import structs

from detectors.api import Category, Part, Sample
from detectors.budgets import Budget
from detectors.cascade import Cascade, Stage
from service.core.probed import Probed, Reading
from service.core.screening import Point
from service.errors import BadRecord, JournalFull
from service.events.log import Received
from service.events.schema import SERVED_UNKNOWN, Crossing, Outcome, Verdict
from service.events.schema import Screening as Gateways
from service.workers.screener import Screener
from tests.real_parts.phrase_detector import PHRASE, PhraseDetector
from tests.real_parts.reading_detector import NAME as INSIDE
from tests.real_parts.reading_detector import PROBES, InsideDetector
from tests.unit.service.workers.screening_parts import (
    NOW,
    MemoryWriter,
    Screening,
    WordDetector,
    answer,
    answer_content,
    chat_body,
    closed,
    opened,
    prompt,
    received,
)

PAGE = Point("words/any/prompt/page", "words", Category.ANY, Part.PROMPT, 0.5, "page", frozenset())


def unscanned(verdicts: Sequence[Verdict]) -> list[str | None]:
    return [verdict.unscanned for verdict in verdicts]


def test_the_prompt_is_scored_when_an_exchange_opens_and_the_answer_when_it_closes() -> None:
    detector = WordDetector()
    screening = Screening(detector)
    (of_prompt,) = screening(prompt("a bad question"))
    (of_answer,) = screening(answer("a good answer"))
    assert [(s.text, s.part) for batch in detector.batches for s in batch] == [
        ("a bad question", Part.PROMPT),
        ("a good answer", Part.ANSWER),
    ]
    assert (of_prompt.part, of_prompt.scores) == ("prompt", {"any": 0.9})
    assert (of_answer.part, of_answer.scores) == ("answer", {"any": 0.1})
    assert of_prompt.completes
    assert of_answer.completes


def test_a_verdict_says_of_whom_and_what_and_by_which_detector() -> None:
    (verdict,) = Screening(WordDetector())(prompt("hello"))
    assert verdict.exchange_id == "ex-1"
    assert (verdict.account, verdict.project, verdict.key) == ("acme", "acme", "key_acme")
    assert (verdict.model, verdict.surface, verdict.tier) == ("m", "chat", 1)
    assert (verdict.detector, verdict.version, verdict.at) == ("words", "3", NOW)
    assert verdict.unscanned is None
    assert len(verdict.digest) == 64


def test_of_an_exchange_of_which_nothing_was_served_the_answer_has_no_verdict() -> None:
    screening = Screening(WordDetector())
    assert screening(received(closed(served_number=0), answer_content("kept back"))) == []


def test_a_batch_is_scored_at_once_and_each_detector_gets_its_own_parts() -> None:
    of_prompts = WordDetector("prompts", frozenset({Part.PROMPT}))
    of_both = WordDetector("both")
    verdicts = Screening(of_prompts, of_both)(prompt("a"), answer("b"), prompt("c", "ex-2"))
    assert [len(batch) for batch in of_prompts.batches] == [2]
    assert [len(batch) for batch in of_both.batches] == [3]
    assert [(v.exchange_id, v.part, v.detector, v.completes) for v in verdicts] == [
        ("ex-1", "prompt", "prompts", False),
        ("ex-1", "prompt", "both", True),
        ("ex-1", "answer", "both", True),
        ("ex-2", "prompt", "prompts", False),
        ("ex-2", "prompt", "both", True),
    ]


@pytest.mark.parametrize("nan", [float("nan"), -0.1, 1.5])
def test_a_score_that_is_no_probability_is_a_failure_of_the_detector(nan: float) -> None:
    (verdict,) = Screening(WordDetector(score=lambda _text: nan))(prompt("x"))
    assert (verdict.unscanned, verdict.scores, verdict.completes) == ("detector_error", {}, False)


def test_a_detector_that_fails_on_one_text_of_a_batch_leaves_that_one_alone_unscanned() -> None:
    def score(text: str) -> float:
        if text == "breaks it":
            raise ZeroDivisionError
        return 0.2

    screening = Screening(WordDetector(score=score))
    verdicts = screening(prompt("a", "ex-1"), prompt("breaks it", "ex-2"), prompt("c", "ex-3"))
    assert unscanned(verdicts) == [None, "detector_error", None]
    assert [verdict.completes for verdict in verdicts] == [True, False, True]
    assert screening.metric("unscanned_total", model="m", reason="detector_error") == 1
    assert screening.metric("detector_errors_total", detector="words") == 2  # the batch, the text


def test_a_part_whose_one_detector_failed_is_not_completed_by_the_other() -> None:
    def fail(_text: str) -> float:
        raise ZeroDivisionError

    verdicts = Screening(WordDetector("broken", score=fail), WordDetector())(prompt("a"))
    assert unscanned(verdicts) == ["detector_error", None]
    assert not any(verdict.completes for verdict in verdicts)


def test_a_detector_that_forgets_a_text_has_failed() -> None:
    class Forgetful(WordDetector):
        def score(self, samples: Sequence[object]) -> list[dict[Category, float]]:
            return [{Category.ANY: 0.1}] * (len(samples) - 1)

    assert unscanned(Screening(Forgetful())(prompt("a"), prompt("b", "ex-2"))) == [
        "detector_error",
        "detector_error",
    ]


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, "image"),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, "audio"),
    ],
)
def test_what_is_no_text_is_unscanned_beside_the_text_that_is_scored(
    part: dict[str, object], reason: str
) -> None:
    detector = WordDetector()
    words = {"type": "text", "text": "what is this?"}
    verdicts = Screening(detector)(received(opened(), chat_body([words, part])))
    assert [sample.text for sample in detector.batches[0]] == ["what is this?"]
    assert unscanned(verdicts) == [None, reason]
    assert [verdict.completes for verdict in verdicts] == [False, True]


@pytest.mark.parametrize("event", [opened(), closed()])
def test_encrypted_content_is_unscanned_and_completes_nothing(
    event: "object",
) -> None:
    (verdict,) = Screening(WordDetector())(received(event, b"\x00secret", key_id="k1"))  # type: ignore[arg-type]
    assert (verdict.unscanned, verdict.completes) == ("encrypted", False)


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'"text"', b"\xff\xfe"])
@pytest.mark.parametrize("event", [opened(), closed()])
def test_content_that_cannot_be_read_is_unscanned_and_completes_nothing(
    event: "object", content: bytes | None
) -> None:
    (verdict,) = Screening(WordDetector())(received(event, content))  # type: ignore[arg-type]
    assert (verdict.unscanned, verdict.completes) == ("unreadable", False)


def test_a_prompt_of_an_unknown_surface_is_unscanned() -> None:
    assert unscanned(Screening(WordDetector())(received(opened(surface="x"), chat_body("a")))) == [
        "unreadable"
    ]


def test_a_part_that_no_detector_scores_is_unscanned() -> None:
    screening = Screening(WordDetector(parts=frozenset({Part.PROMPT})))
    (verdict,) = screening(answer("words"))
    assert (verdict.unscanned, verdict.detector, verdict.completes) == (
        "no_detector",
        "none",
        False,
    )


def test_an_answer_that_was_interrupted_is_unscanned_and_complete() -> None:
    end = closed(served_number=SERVED_UNKNOWN, outcome="interrupted")
    (verdict,) = Screening(WordDetector())(received(end))
    assert (verdict.unscanned, verdict.completes) == ("interrupted", True)


def test_an_empty_answer_is_scored_like_any() -> None:
    detector = WordDetector()
    assert unscanned(Screening(detector)(answer(""))) == [None]
    assert [sample.text for sample in detector.batches[0]] == [""]


def test_the_same_records_give_the_same_ids_however_they_are_batched() -> None:
    batch = [prompt("a"), answer("bad"), prompt("c", "ex-2"), received(opened("ex-3"), b"{")]
    at_once = [verdict.id for verdict in Screening(WordDetector())(*batch)]
    one_by_one = Screening(WordDetector())
    assert [one_by_one(record)[0].id for record in batch] == at_once
    assert len(set(at_once)) == 4


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        (prompt("a"), False),
        (prompt("b"), True),
        (prompt("a", "ex-2"), True),
        (answer("a"), True),
    ],
)
def test_another_text_part_or_exchange_has_another_id(other: Received, differs: bool) -> None:
    screening = Screening(WordDetector())
    (first,), (second,) = screening(prompt("a")), screening(other)
    assert (first.id != second.id) is differs


def test_a_score_over_a_point_is_a_crossing_and_is_counted() -> None:
    screening = Screening(WordDetector(), points=[PAGE])
    crossing, nothing = screening(prompt("bad"), prompt("good", "ex-2"))
    (found,) = crossing.crossed
    assert (found.point, found.score, found.threshold, found.action) == (
        PAGE.name,
        0.9,
        0.5,
        "page",
    )
    assert nothing.crossed == ()
    labels = {"detector": "words", "category": "any"}
    assert screening.metric("verdicts_total", action="page", **labels) == 1
    assert screening.metric("verdicts_total", action="none", **labels) == 1
    assert screening.metric("flagged_total", model="m", action="page") == 1


@pytest.mark.parametrize("kind", ["verdict", "broken"])
def test_a_record_that_is_no_exchange_is_bad_and_nothing_of_its_batch_is_written(
    kind: str,
) -> None:
    screening = Screening(WordDetector())
    (verdict,) = screening(prompt("a"))
    bad = received(verdict)
    if kind == "broken":
        structs.force_setattr(bad.record, "body", b"{")
    with pytest.raises(BadRecord):
        screening(prompt("b", "ex-2"), bad)
    assert len(screening.writer.records) == 1


def test_nothing_is_counted_of_verdicts_that_could_not_be_kept() -> None:
    writer = MemoryWriter(JournalFull("full"))
    screening = Screening(WordDetector(), writer=writer)
    with pytest.raises(JournalFull):
        screening(prompt("a"))
    assert JournalFull in Screener.transient
    assert screening.metric("verdicts_total", detector="words", category="any", action="none") == 0


BLOCKED = Crossing("words/any/prompt/block", "any", 0.97, 0.9, "block", "words")


def test_what_the_gateways_own_screen_found_is_in_the_verdict_whatever_the_worker_scores() -> None:
    event = structs.replace(opened(), screening=Gateways("block", ("words/3",), (BLOCKED,)))
    screening = Screening(WordDetector(), points=[PAGE])
    (verdict,) = screening(received(event, chat_body("a good question")))
    assert verdict.scores == {"any": 0.1}
    assert verdict.crossed == (BLOCKED,)
    assert screening.metric("verdicts_total", detector="words", category="any", action="block") == 1


@pytest.mark.parametrize(
    ("gateways", "enforced"),
    [
        (None, "observed"),
        (Gateways("block", ("words/3",)), "observed"),
        (Gateways("block", ("words/3",), unscanned="too_late"), "observed"),
        (Gateways("block", ("words/3",), (BLOCKED,)), "blocked"),
        (Gateways("block", ("words/3",), (BLOCKED,), observed_only=True), "observed"),
    ],
)
def test_a_verdict_on_a_prompt_says_whether_the_gateway_blocked_it(
    gateways: Gateways | None, enforced: str
) -> None:
    event = structs.replace(opened(), screening=gateways)
    (verdict,) = Screening(WordDetector(), points=[PAGE])(received(event, chat_body("bad")))
    assert verdict.enforced == enforced


@pytest.mark.parametrize(
    ("outcome", "enforced"),
    [("cut_off", "cut_off"), ("completed", "observed"), ("screen_failed", "observed")],
)
def test_a_verdict_on_an_answer_says_whether_the_gateway_cut_it_off(
    outcome: Outcome, enforced: str
) -> None:
    gateways = Gateways("window", ("words/3",), (BLOCKED,), observed_only=outcome != "cut_off")
    event = structs.replace(closed(outcome=outcome), screening=gateways)
    (verdict,) = Screening(WordDetector())(received(event, answer_content("bad")))
    assert verdict.enforced == enforced


def test_what_both_found_is_told_once() -> None:
    point = replace(PAGE, name=BLOCKED.point, action="block")
    event = structs.replace(opened(), screening=Gateways("block", ("words/3",), (BLOCKED,)))
    (verdict,) = Screening(WordDetector(), points=[point])(received(event, chat_body("bad")))
    assert [crossing.point for crossing in verdict.crossed] == [BLOCKED.point]


def test_what_the_gateway_found_with_a_detector_that_is_gone_has_a_verdict_of_its_own() -> None:
    gone = structs.replace(BLOCKED, detector="gone")
    event = structs.replace(opened(), screening=Gateways("block", ("gone/1",), (gone,)))
    verdicts = Screening(WordDetector())(received(event, chat_body("good")))
    assert [(verdict.detector, verdict.version) for verdict in verdicts] == [
        ("words", "3"),
        ("gone", "gateway"),
    ]
    assert verdicts[1].crossed == (gone,)
    assert [verdict.completes for verdict in verdicts] == [False, True]


@pytest.mark.parametrize("there_is_one", [True, False])
def test_what_probes_cut_an_answer_off_by_is_in_the_verdict_of_their_detector(
    there_is_one: bool,
) -> None:
    cut = structs.replace(BLOCKED, point="inside/any/answer/block", detector=INSIDE)
    gateways = Gateways("window", (f"{INSIDE}/1",), (cut,))
    told = Probed(PROBES, ("any",), answer=Reading(9, 9, (0.0,)))
    event = structs.replace(closed(outcome="cut_off"), screening=gateways, probed=told)
    inside = [InsideDetector()] if there_is_one else []
    found = Screening(WordDetector(), *inside)(received(event, answer_content("good")))
    verdicts = [it for it in found if it.part == Part.ANSWER]
    assert [(it.detector, it.version) for it in verdicts] == [
        ("words", "3"),
        (INSIDE, "1" if there_is_one else "gateway"),
    ]
    assert [it.crossed for it in verdicts] == [(), (cut,)]
    assert {it.enforced for it in verdicts} == {"cut_off"}
    assert [it.completes for it in verdicts] == [False, True]


def test_a_text_that_is_longer_than_a_detector_sees_is_scored_whole() -> None:
    class Short(PhraseDetector):
        def score_text(self, text: str, part: Part) -> Mapping[Category, float]:
            return super().score_text(text[:1000], part)

    detector = Short(max_chars=1000)
    for text in ("x" * 5000 + PHRASE, "x" * 990 + PHRASE + "x" * 5000, PHRASE + "x" * 5000):
        (verdict,) = Screening(detector)(prompt(text))
        assert verdict.scores == {"any": 1.0}
        assert verdict.unscanned is None


def test_an_image_is_unscanned_and_recorded_by_its_digest() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}
    of_text, of_image = Screening(WordDetector())(received(opened(), chat_body([image])))
    assert of_text.media == ()
    assert of_image.unscanned == "image"
    assert of_image.media == (hashlib.sha256(b"hello").hexdigest(),)


EXCHANGES = frozenset({Part.ANSWER, Part.EXCHANGE})


def test_an_exchange_is_scored_once_it_is_over_the_answer_with_its_prompt() -> None:
    detector = WordDetector(parts=EXCHANGES)
    screening = Screening(detector)
    screening(prompt("a question"), prompt("another", "ex-2"))
    of_answer, of_exchange = screening(answer("a bad answer"))
    assert detector.batches[-1][1] == Sample("a bad answer", Part.EXCHANGE, "a question")
    assert (of_answer.part, of_answer.completes) == ("answer", True)
    assert (of_exchange.part, of_exchange.completes) == ("exchange", False)
    assert of_exchange.scores == {"any": 0.9}
    assert of_exchange.digest == hashlib.sha256(b"a question\0a bad answer").hexdigest()
    _, of_second = screening(answer("a good answer", "ex-2"))
    assert of_second.scores == {"any": 0.1}


def test_prompt_and_answer_of_one_batch_are_one_exchange() -> None:
    screening = Screening(WordDetector(parts=EXCHANGES))
    verdicts = screening(prompt("a question"), answer("a bad answer"))
    assert [it.part for it in verdicts if it.scores] == ["answer", "exchange"]


def test_an_exchange_whose_prompt_is_not_remembered_says_so_and_its_answer_is_covered() -> None:
    screening = Screening(WordDetector(parts=EXCHANGES))
    of_answer, of_exchange = screening(answer("a bad answer"))
    assert of_answer.completes
    assert (of_exchange.part, of_exchange.unscanned) == ("exchange", "no_prompt")
    assert screening.metric("unscanned_total", model="m", reason="no_prompt") == 1


def test_a_batch_that_could_not_be_written_comes_again_with_its_prompt() -> None:
    screening = Screening(WordDetector(parts=EXCHANGES))
    screening(prompt("a question"))
    screening.writer.error = JournalFull("full")
    with pytest.raises(JournalFull):
        screening(answer("a bad answer"))
    screening.writer.error = None
    assert [it.part for it in screening(answer("a bad answer"))] == ["answer", "exchange"]
    assert screening(answer("a bad answer"))[1].unscanned == "no_prompt"  # by then it is over


def test_a_point_on_exchanges_is_crossed_by_exchanges_alone() -> None:
    point = replace(PAGE, part=Part.EXCHANGE)
    screening = Screening(WordDetector(parts=frozenset(Part)), points=[point])
    (of_prompt,) = screening(prompt("a bad question"))
    of_answer, of_exchange = screening(answer("a bad answer"))
    assert [bool(it.crossed) for it in (of_prompt, of_answer, of_exchange)] == [False, False, True]


def test_what_the_gateway_found_in_an_answer_is_not_told_twice() -> None:
    screening = Screening(WordDetector(parts=EXCHANGES))
    screening(prompt("a question"))
    crossing = Crossing("p", "any", 0.9, 0.5, "block", "words")
    gateways = Gateways("window", ("words/3",), (crossing,))
    ended = structs.replace(closed(), screening=gateways)
    of_answer, of_exchange = screening(received(ended, answer_content("a bad answer")))
    assert of_answer.crossed == (crossing,)
    assert of_exchange.crossed == ()


def test_the_stages_of_a_cascade_have_verdicts_of_their_own_beside_its_own() -> None:
    dear = WordDetector("dear", score=lambda _text: 0.9)
    cascade = Cascade("suite", [Stage(WordDetector()), Stage(dear, band=(0.5, 1.0))])
    points = [
        replace(PAGE, name="of suite", detector="suite"),
        replace(PAGE, name="of dear", detector="dear"),
    ]
    screening = Screening(cascade, points=points)
    suite, words, second = screening(prompt("a bad question"))
    assert [it.detector for it in (suite, words, second)] == ["suite", "words", "dear"]
    assert suite.scores["any"] == pytest.approx(0.9)
    assert [c.point for it in (suite, words, second) for c in it.crossed] == ["of suite", "of dear"]
    assert second.completes
    assert [it.detector for it in screening(prompt("a good question"))] == ["suite", "words"]


def test_a_stage_that_fails_leaves_a_part_uncovered_only_where_it_is_required() -> None:
    def fail(_text: str) -> float:
        raise RuntimeError("this detector fails")

    for required, reasons in ((False, [None, None]), (True, ["detector_error", None])):
        away = Stage(WordDetector("away", score=fail), required=required)
        screening = Screening(Cascade("suite", [Stage(WordDetector()), away]))
        verdicts = screening(prompt("a question"))
        assert unscanned(verdicts) == reasons
        assert verdicts[-1].completes is not required


def test_a_text_that_is_left_out_for_the_budget_of_all_that_might_score_it_says_so() -> None:
    def fail(_text: str) -> float:
        raise RuntimeError("this detector fails")

    def spent() -> Budget:
        return Budget(max_share=0.0, clock=lambda: NOW, burst_texts=0.0)

    of_answers = Stage(WordDetector("answers", frozenset({Part.ANSWER})))
    dear = Stage(WordDetector("dear"), budget=spent(), required=True)
    screening = Screening(Cascade("suite", [of_answers, dear]))
    [verdict] = screening(prompt("a question"))
    assert (verdict.detector, verdict.unscanned) == ("suite", "over_budget")
    assert not verdict.completes, "it is a gap in the coverage"
    assert screening.metric("unscanned_total", model="m", reason="over_budget") == 1

    broken = Stage(WordDetector("broken", score=fail))
    screening = Screening(Cascade("suite", [broken, replace(dear, budget=spent())]))
    assert unscanned(screening(prompt("a question"))) == ["detector_error"]

    screening = Screening(Cascade("suite", [Stage(WordDetector()), replace(dear, budget=spent())]))
    assert unscanned(screening(prompt("a question"))) == [None, None]
