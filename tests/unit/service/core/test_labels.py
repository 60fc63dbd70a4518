"""Labels become rows: one of each meaning for a part, whoever said it."""

import msgspec

from detectors.api import Category, Part
from service.core.labels import KINDS, Label, Meaning, in_order, rows_of


def label(by: str, meaning: Meaning, *kinds: Category, part: Part = Part.PROMPT) -> Label:
    return Label("ex-1", part, by, meaning, kinds, None, 1.0)


def test_those_who_agree_share_a_row_that_has_the_kinds_of_all() -> None:
    said = [
        label("a", Meaning.MISUSE, Category.FRAUD),
        label("b", Meaning.MISUSE, Category.CYBER, Category.FRAUD),
    ]
    (row,) = rows_of(said, "what was asked", None)
    assert msgspec.to_builtins(row) == {
        "id": "ex-1/prompt/misuse",
        "text": "what was asked",
        "label": 1,
        "categories": ("cyber", "fraud"),
        "source": "labels",
        "licence": "own",
    }


def test_those_who_disagree_have_a_row_each() -> None:
    said = [
        label("a", Meaning.MISUSE, Category.CYBER, part=Part.ANSWER),
        label("b", Meaning.BENIGN, part=Part.ANSWER),
    ]
    rows = list(rows_of(said, "what was asked", "what was answered"))
    assert [(it.id, it.label, it.response) for it in rows] == [
        ("ex-1/answer/benign", 0, "what was answered"),
        ("ex-1/answer/misuse", 1, "what was answered"),
    ]
    assert [it.categories for it in rows] == [(), (Category.CYBER,)]


def test_kinds_come_once_each_in_the_order_of_all() -> None:
    assert in_order([Category.OTHER, Category.BIO, Category.OTHER]) == (KINDS[0], KINDS[-1])
    assert Category.ANY not in KINDS
