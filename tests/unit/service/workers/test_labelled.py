"""Labels joined with what was recorded: texts as detectors see them, and why others have no row."""

import math
from collections.abc import Iterable

import msgspec
import pytest

from detectors.api import Category, Part
from service.core.labels import Label, LabelledRow, Meaning
from service.events.log import Received, Record
from service.events.schema import SERVED_UNKNOWN
from service.workers.items import read_items
from service.workers.labelled import LabelledTexts, Missing
from tests.unit.service.workers.screening_parts import (
    NOW,
    answer,
    answer_content,
    chat_body,
    closed,
    opened,
    prompt,
    received,
)


def label(
    id_: str = "ex-1", part: Part = Part.PROMPT, by: str = "a", meaning: Meaning = Meaning.BENIGN
) -> Label:
    kinds = (Category.CYBER,) if meaning is Meaning.MISUSE else ()
    return Label(id_, part, by, meaning, kinds, None, 1.0)


def joined(
    labels: Iterable[Label], records: Iterable[Received], until: float = math.inf
) -> tuple[list[LabelledRow], dict[Missing, int]]:
    texts = LabelledTexts(labels, until)
    rows = list(texts.rows(records))
    return rows, dict(texts.missing())


BOTH = [label(), label(part=Part.ANSWER, meaning=Meaning.MISUSE)]


def test_a_prompt_and_an_answer_become_rows_of_the_texts_that_are_screened() -> None:
    asked = received(opened(), chat_body("Be brief.", "What is a fold?"))
    rows, missing = joined(BOTH, [asked, answer("A bend.")])
    screened = next(read_items(asked.record))
    assert screened is not None
    assert "Be brief." in screened.text
    assert [(it.id, it.text, it.response, it.label) for it in rows] == [
        ("ex-1/prompt/benign", screened.text, None, 0),
        ("ex-1/answer/misuse", screened.text, "A bend.", 1),
    ]
    assert missing == {}


def test_records_that_come_again_and_exchanges_without_labels_make_no_more_rows() -> None:
    stream = [prompt("a"), answer("b"), prompt("a"), answer("b")]
    others = [prompt("c", "ex-2"), answer("d", "ex-2")]
    rows, missing = joined(BOTH, [*others, *stream, *others])
    assert [it.id for it in rows] == ["ex-1/prompt/benign", "ex-1/answer/misuse"]
    assert missing == {}


def test_labels_of_which_nothing_is_recorded_are_counted_each() -> None:
    labels = [label("ex-9"), label("ex-9", by="b"), label("ex-8", Part.ANSWER), label()]
    rows, missing = joined(labels, [prompt("a")])
    assert [it.id for it in rows] == ["ex-1/prompt/benign"]
    assert missing == {Missing.GONE: 3}


@pytest.mark.parametrize(
    ("end", "why"),
    [
        ([], Missing.NO_ANSWER),
        ([received(closed(served_number=0), answer_content(""))], Missing.NO_ANSWER),
        ([received(closed(served_number=SERVED_UNKNOWN))], Missing.NO_ANSWER),
        ([received(closed(), b"sealed", key_id="k")], Missing.ENCRYPTED),
        ([received(closed(), b"{")], Missing.UNREADABLE),
    ],
)
def test_an_answer_that_is_not_there_is_counted_and_its_prompt_has_its_row(
    end: list[Received], why: Missing
) -> None:
    rows, missing = joined(BOTH, [prompt("a"), *end])
    assert [it.id for it in rows] == ["ex-1/prompt/benign"]
    assert missing == {why: 1}


@pytest.mark.parametrize(
    ("start", "why"),
    [
        (received(opened(), b"sealed", key_id="k"), Missing.ENCRYPTED),
        (received(opened(), b"{"), Missing.UNREADABLE),
    ],
)
def test_without_its_prompt_an_answer_makes_no_row(start: Received, why: Missing) -> None:
    assert joined(BOTH, [start, answer("b")]) == ([], {why: 2})


def test_a_record_that_is_no_event_is_counted() -> None:
    broken = msgspec.structs.replace(prompt("a").record, body=b"{}")
    assert joined([label()], [Received(broken, prompt("a").position)]) == (
        [],
        {Missing.UNREADABLE: 1},
    )


def test_an_exchange_belongs_to_the_stretch_in_which_it_began() -> None:
    ends_later = [prompt("a"), answer("b")]
    within, _ = joined(BOTH, ends_later, until=NOW - 15)
    assert len(within) == len(BOTH)
    assert joined(BOTH, ends_later, until=NOW - 20) == ([], {Missing.GONE: 2})


def test_rows_are_spelled_so_that_nothing_is_there_which_is_not_known() -> None:
    record: Record = prompt("a").record
    rows, _ = joined([label()], [Received(record, prompt("a").position)])
    assert msgspec.json.decode(msgspec.json.encode(rows[0])) == {
        "id": "ex-1/prompt/benign",
        "text": "a",
        "label": 0,
        "source": "labels",
        "licence": "own",
    }
