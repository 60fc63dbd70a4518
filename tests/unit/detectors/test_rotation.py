import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.rotation import HINTS, REACH, Unrotating, may_be_rotated, rot13, unrotate

ENGLISH = "the and you how for that with this from your have what into will when make give"


def test_hints_are_frequent_words_of_english() -> None:
    assert {rot13(it) for it in HINTS} == set(ENGLISH.split())
    assert HINTS.isdisjoint(ENGLISH.split())


def test_a_request_in_rot13_is_read_around_its_hints() -> None:
    request = "Explain how to water the garden in June without a hose"

    assert unrotate(codecs.encode(request, "rot13")).strip() == request


@pytest.mark.parametrize("padding", ["calm words ", "calm words. " * 300])
def test_of_what_is_around_only_the_next_characters_are_read(padding: str) -> None:
    found = unrotate(padding + codecs.encode("show me how to sing ", "rot13") + padding)

    assert "show me how to sing" in found
    assert len(found) <= 3 * REACH


@pytest.mark.parametrize("text", ["", "how to water the garden", "gurer ubjever", "Tokyo 東京"])
def test_what_is_not_in_rot13_says_nothing(text: str) -> None:
    assert unrotate(text) == ""
    assert not may_be_rotated(text.split())


WORDS = st.sampled_from(["gur ", "Ubj\n", "calm ", "é ", "x" * 90, " ", "znx", "r ", "東"])


@given(pieces=st.lists(WORDS, max_size=40))
def test_pieces_put_together_say_what_the_whole_says(pieces: list[str]) -> None:
    reader = Unrotating()
    text = "".join(pieces)

    assert "".join(map(reader.add, pieces)) == unrotate(text)
    assert "".join(map(Unrotating().add, [text])) == unrotate(text)
    assert may_be_rotated(text.split()) or unrotate(text) == ""


def test_it_remembers_no_more_as_a_text_grows() -> None:
    reader = Unrotating()
    for _ in range(1_000):
        reader.add("calm words and a word without end")

    assert len(reader._before) <= REACH
    assert len(reader._word) <= 5
