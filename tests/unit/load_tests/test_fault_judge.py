"""The judge of the fault matrix complains of every way in which an account and a log can differ."""

from collections import Counter
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from load_tests.documents import written_between
from load_tests.faults.account import End, Told
from load_tests.faults.judge import Effects, Ended, Findings, Recorded, judge
from load_tests.faults.log import recorded
from load_tests.faults.table import cells, markdown
from load_tests.faults.trial import Row
from service.events.log import Position, Received
from service.events.schema import AnyEvent, Closed, Crossing, Opened, Verdict, to_record
from tests.real_parts.watchgate import MISUSE

BOTH = {"prompt", "answer"}


def told(receipt: str, **changes: Any) -> Told:  # noqa: ANN401
    one = Told(receipt, "m", False, End.COMPLETED, 200, "", 90, (" a", " word"), 1.0, 2.0)
    return replace(one, **changes)


ACCOUNT = [
    told("whole"),
    told("misuse", misuse=True),
    told("cut", end=End.BROKEN, texts=(" a",)),
    told("died", end=End.BROKEN, texts=(" never", " recorded")),
    told("away", end=End.REFUSED, status=502, code="upstream_unavailable", texts=()),
    told("", end=End.BROKEN, status=0, code="ConnectionResetError", body_bytes=0, texts=()),
]
ENDS = {
    "whole": Ended("completed", " a word", served=True),
    "misuse": Ended("completed", " a word", served=True),
    "cut": Ended("upstream_broke", " a word", served=True),
    "died": Ended("interrupted", "", served=None),
    "away": Ended("upstream_unavailable", "", served=False),
}
LOG = Recorded(
    opened=Counter([*ENDS]),
    closed=Counter([*ENDS]),
    ends=ENDS,
    screened={name: {"prompt"} if name == "away" else BOTH for name in ENDS},
    misuse={"misuse"},
    crossed={"misuse"},
)
EFFECTS = Effects(1, 0, {"served": 3, "recorded": 3, "screened": 3}, covered=3)


def judged(effects: Effects = EFFECTS, *, kept: bool = True, **changes: Any) -> Findings:  # noqa: ANN401
    return judge(ACCOUNT, replace(deepcopy(LOG), **changes), effects, counters_kept=kept)


def test_where_account_log_and_effects_agree_there_is_nothing_to_say() -> None:
    assert judged().all == []


def test_an_answer_that_the_log_does_not_know_is_unrecorded() -> None:
    doctored = [*ACCOUNT, told("made-up")]
    found = judge(doctored, LOG, EFFECTS)
    assert found.unrecorded == ["made-up was served and is not recorded"]
    assert found.all == found.unrecorded


def test_an_answer_without_a_receipt_is_unrecorded() -> None:
    [said] = judge([*ACCOUNT, told("")], LOG, EFFECTS).unrecorded
    assert said == "an answer without a receipt was served and is not recorded"


def test_words_that_the_record_lacks_are_unrecorded() -> None:
    doctored = [told("whole", texts=(" a", " word", " a")), *ACCOUNT[1:]]
    [said] = judge(doctored, LOG, EFFECTS).unrecorded
    assert said == "whole: the caller has words that the record lacks"


def test_words_are_taken_wherever_they_stand_in_the_record_but_each_once() -> None:
    ends = {**ENDS, "whole": Ended("completed", " word a", served=True)}
    assert judged(ends=ends).all == []


def test_a_whole_answer_that_is_recorded_as_broken_is_unrecorded() -> None:
    ends = {**ENDS, "whole": Ended("interrupted", "", served=None)}
    [said] = judged(ends=ends).unrecorded
    assert said == "whole was served whole and is recorded as interrupted"


def test_an_exchange_without_an_end_is_lost() -> None:
    ends = {name: end for name, end in ENDS.items() if name != "cut"}
    assert judged(ends=ends).lost == ["cut was opened and never closed"]


def test_an_end_without_a_beginning_is_lost() -> None:
    opened = Counter(it for it in ENDS if it != "away")
    assert judged(opened=opened).lost == ["away was closed and never opened"]


def test_an_exchange_that_nobody_screened_is_lost() -> None:
    screened = {**LOG.screened, "whole": {"prompt"}}
    assert judged(screened=screened).lost == ["whole: no verdict on its answer"]


def test_the_answer_of_a_dead_process_that_a_caller_saw_must_be_screened_too() -> None:
    screened = {**LOG.screened, "died": {"prompt"}}
    assert judged(screened=screened).lost == ["died: no verdict on its answer"]


def test_misuse_without_a_verdict_that_pages_is_lost() -> None:
    effects = replace(EFFECTS, alerts=0)
    assert judged(effects, crossed=set()).lost == ["misuse is misuse and has no verdict that pages"]


def test_an_alert_too_few_is_lost_and_one_too_many_is_a_duplicate() -> None:
    assert judged(replace(EFFECTS, alerts=0)).lost == ["1 exchanges page, the alerts count 0"]
    assert judged(replace(EFFECTS, alerts=2)).duplicated == ["1 exchanges page, the alerts count 2"]


@pytest.mark.parametrize("what", ["opened", "closed"])
def test_an_exchange_that_is_there_twice_is_a_duplicate(what: str) -> None:
    changes: dict[str, Any] = {what: Counter([*ENDS, "whole"])}
    assert judged(**changes).duplicated == [f"whole was {what} 2 times"]


def test_an_exchange_that_is_counted_twice_is_a_duplicate() -> None:
    effects = replace(EFFECTS, counted={"screened": 4})
    assert judged(effects, kept=False).duplicated == ["3 exchanges were served, 4 screened"]


def test_what_kafka_lacks_is_lost() -> None:
    assert len(judged(unshipped=2).lost) == 1


def test_gaps_and_counters_that_differ_are_told_but_those_of_a_dead_process_may() -> None:
    less = replace(EFFECTS, counted={"served": 2, "recorded": 3, "screened": 3})
    assert len(judged(less).other) == 1
    assert judged(less, kept=False).other == []
    assert judged(replace(EFFECTS, gaps=1), kept=False).other == ["1 gaps in coverage"]


def test_an_answer_that_nobody_foresaw_is_told() -> None:
    doctored = [*ACCOUNT, told("e", end=End.REFUSED, status=500, code="internal_error")]
    assert judge(doctored, LOG, EFFECTS).other == ["1 answers were 500 internal_error"]


# What is read from the log

FIELDS: dict[str, Any] = {
    "exchange_id": "e",
    "at": 1.0,
    "account": "p",
    "project": "p",
    "key": "k",
    "model": "m",
    "surface": "chat",
    "tier": 1,
}


def received(event: AnyEvent, content: bytes | None = None) -> Received:
    return Received(to_record(event, content), Position("log", 0, 0))


def verdict(part: str, **changes: Any) -> Verdict:  # noqa: ANN401
    given: dict[str, Any] = {"detector": "d", "version": "1", "digest": "0", "completes": True}
    return Verdict(**FIELDS, id=part, part=part, **given | changes)


def test_a_log_is_read_into_the_terms_of_the_judge() -> None:
    page = Crossing("point", "jailbreak", 0.99, 0.9, "page")
    log = recorded(
        [
            received(Opened(**FIELDS, upstream="u", stream=True), f'["{MISUSE}"]'.encode()),
            received(
                Closed(**FIELDS, outcome="completed", opened_at=1.0, served_number=1),
                b'{"choices":[{"index":0,"text":"some words"}]}',
            ),
            received(verdict("prompt", crossed=(page,))),
            received(verdict("answer", completes=False)),
        ]
    )
    assert log.opened == log.closed == Counter(["e"])
    assert log.ends == {"e": Ended("completed", "some words", served=True)}
    assert log.screened == {"e": {"prompt"}}
    assert log.misuse == log.crossed == {"e"}


# The table

ROW = Row("name", "stand", "something was done", {"completed": 3, "broken": 1}, recovered_s=1.25)


def test_a_row_says_what_was_done_and_whether_all_holds() -> None:
    zeros = ("0", "0", "0")
    assert cells(ROW) == (
        "name", "something was done", "3", "0", "1", *zeros, "1.2 s", "0.0 s", "yes",
    )  # fmt: skip
    assert cells(replace(ROW, problems=["why"]))[-1] == "**no**"
    assert cells(replace(ROW, not_run="no root"))[-1] == "not run: no root"
    assert not replace(ROW, not_run="no root").holds


def test_a_table_says_below_it_what_does_not_hold() -> None:
    table = markdown([ROW, replace(ROW, fault="other", problems=["it is lost"])])
    assert table.endswith("\n- `other`: it is lost")
    assert table.count("\n| ") == 3


def test_a_table_is_written_between_its_marks_alone() -> None:
    document = "a\n<!-- measured: x -->\nold\n<!-- /measured -->\nb"
    written = written_between(document, "x", "new \\1")
    assert written == "a\n<!-- measured: x -->\nnew \\1\n<!-- /measured -->\nb"
    with pytest.raises(ValueError, match="no <!-- measured: y"):
        written_between(document, "y", "new")
