"""Labels in the store: one of each person for a part of an exchange."""

from dataclasses import replace
from typing import Final

import pytest

from detectors.api import Category, Part
from service.core.labels import Label, Meaning
from service.store import Store, revision
from service.store.labels import (
    LabelKey,
    Wanted,
    find_label,
    list_labels,
    put_label,
    remove_label,
)

LABEL: Final = Label(
    "ex-1", Part.PROMPT, "cli:a", Meaning.MISUSE, (Category.CYBER, Category.FRAUD), "é ☃", 1.25
)
OTHERS: Final = (
    replace(LABEL, by="token:adm_1", label=Meaning.BENIGN, categories=(), note=None),
    replace(LABEL, part=Part.ANSWER),
    replace(LABEL, exchange_id="ex-2"),
)


def key_of(label: Label) -> LabelKey:
    return LabelKey(label.exchange_id, label.part, label.by)


@pytest.fixture
def filled(store: Store) -> Store:
    with store.begin() as connection:
        for one in (LABEL, *OTHERS):
            put_label(connection, one)
    return store


def listed(store: Store, wanted: Wanted) -> set[LabelKey]:
    with store.read() as connection:
        return {key_of(it) for it in list_labels(connection, wanted)}


def test_a_label_comes_back_as_it_went(filled: Store) -> None:
    with filled.read() as connection:
        found = [find_label(connection, key_of(it)) for it in (LABEL, *OTHERS)]
    assert found == [LABEL, *OTHERS]


def test_a_person_has_one_label_of_a_part_and_changes_nobody_elses(filled: Store) -> None:
    new = replace(LABEL, label=Meaning.BENIGN, categories=(), note=None, at=2.5)
    with filled.begin() as connection:
        put_label(connection, new)
        assert find_label(connection, key_of(LABEL)) == new
        assert find_label(connection, key_of(OTHERS[0])) == OTHERS[0]
        assert len(list_labels(connection)) == 1 + len(OTHERS)


def test_a_label_that_is_removed_leaves_the_others(filled: Store) -> None:
    with filled.begin() as connection:
        remove_label(connection, key_of(LABEL))
        assert find_label(connection, key_of(LABEL)) is None
    assert listed(filled, Wanted()) == {key_of(it) for it in OTHERS}


def test_labels_are_listed_by_exchange_by_part_and_by_what_they_say(filled: Store) -> None:
    first, answer, second = map(key_of, OTHERS)
    assert listed(filled, Wanted(exchange_id="ex-2")) == {second}
    assert listed(filled, Wanted(part=Part.ANSWER)) == {answer}
    assert listed(filled, Wanted(label=Meaning.BENIGN)) == {first}
    assert listed(filled, Wanted("ex-1", Part.PROMPT, Meaning.MISUSE)) == {key_of(LABEL)}


def test_pages_put_together_are_all_labels(filled: Store) -> None:
    found: list[Label] = []
    with filled.read() as connection:
        while page := list_labels(connection, limit=1, after=key_of(found[-1]) if found else None):
            found += page
        assert found == list(list_labels(connection))
    assert len(found) == 1 + len(OTHERS)


def test_gateways_see_nothing_new_by_a_label(store: Store) -> None:
    before = revision(store)
    with store.begin() as connection:
        put_label(connection, LABEL)
    assert revision(store) == before
