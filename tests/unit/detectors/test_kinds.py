"""Which kind of misuse a row is, and when a kind is one of its own."""

import numpy as np
import pytest

from detectors.api import Category
from detectors.data import Row
from detectors.kinds import Kind, held_to_more, kind_of, taught_by_kind


def rows(**of_sources: str) -> list[Row]:
    """Make two rows of each source: misuse of its category, and a benign one."""
    return [
        Row(f"{source}-{label}", "stand-in", label, source, "MIT", None, (category,) * label)
        for source, category in of_sources.items()
        for label in (0, 1)
    ]


@pytest.mark.parametrize(
    ("categories", "kind"),
    [
        ((), Kind.REQUEST),
        ((Category.CYBER,), Kind.REQUEST),
        ((Category.JAILBREAK, Category.VIOLENCE), Kind.JAILBREAK),
        ((Category.PROMPT_INJECTION,), Kind.INJECTION),
        ((Category.PROMPT_INJECTION, Category.CYBER), Kind.REQUEST),
    ],
)
def test_a_kind_is_told_by_the_categories(categories: tuple[Category, ...], kind: Kind) -> None:
    assert kind_of(categories) is kind


def test_each_kind_is_taught_by_its_misuse_and_by_all_that_is_benign() -> None:
    given = rows(a="cyber", b="fraud", c="jailbreak", d="jailbreak")
    taught = taught_by_kind(given)
    assert set(taught) == {Kind.REQUEST, Kind.JAILBREAK}
    for kind, names in ((Kind.REQUEST, "ab"), (Kind.JAILBREAK, "cd")):
        misuse = [
            it.source for it, is_in in zip(given, taught[kind], strict=True) if it.label and is_in
        ]
        assert misuse == list(names)
        assert all(is_in for it, is_in in zip(given, taught[kind], strict=True) if not it.label)


@pytest.mark.parametrize(
    "sources",
    [
        {"a": "cyber", "b": "fraud", "c": "jailbreak"},
        {"a": "cyber", "c": "jailbreak", "d": "jailbreak"},
    ],
)
def test_a_kind_of_one_family_is_none_of_its_own(sources: dict[str, str]) -> None:
    [(kind, taught)] = taught_by_kind(rows(**sources)).items()
    assert kind is Kind.REQUEST
    assert taught.all()


def test_the_first_kind_is_not_held_to_more() -> None:
    odds = [np.log([2.0, 1.0]), np.log([1.0, 8.0])]
    assert np.exp(held_to_more(odds, np.log(4.0))) == pytest.approx([2.25, 3.0])
