"""A growing text scores what the text so far scores, wherever it was cut, on both engines."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors.api import Category, Part
from detectors.lexical import Head, Lexical
from detectors.native import NativeWeights
from detectors.plain import PlainWeights, WordWeights
from detectors.slices import MAX_CHARS, OVERLAP_CHARS, SLICE_CHARS, STEP_CHARS
from tests.real_parts.texts import cut_texts

CORNERS = [0, 1, OVERLAP_CHARS, STEP_CHARS, SLICE_CHARS, SLICE_CHARS + STEP_CHARS]


def lexical_of(words: WordWeights) -> Lexical:
    return Lexical({Part.ANSWER: Head(words, 0.1, slope=1, offset=0)}, "random", "test")


@pytest.fixture(scope="module", params=["plain", "native"])
def model(request: pytest.FixtureRequest, random_weights: list[float]) -> Lexical:
    if request.param == "plain":
        return lexical_of(PlainWeights(random_weights))
    return lexical_of(NativeWeights(request.getfixturevalue("library"), random_weights))


@pytest.fixture(scope="module")
def plain(random_weights: list[float]) -> Lexical:
    return lexical_of(PlainWeights(random_weights))


def any_score(model: Lexical, text: str) -> float:
    return model.score_text(text, Part.ANSWER)[Category.ANY]


def agrees_after_every_piece(model: Lexical, plain: Lexical, pieces: list[str]) -> None:
    growing, so_far = model.growing(Part.ANSWER), ""
    for piece in pieces:
        so_far += piece
        expected = pytest.approx(any_score(plain, so_far), rel=0, abs=1e-9)
        assert growing.add(piece)[Category.ANY] == expected
        assert any_score(model, so_far) == expected


@settings(deadline=None, max_examples=100)
@given(pieces=cut_texts())
@example(pieces=["e", "\u0301"])
@example(pieces=["<", "\u0338"])
@example(pieces=["x\u0323" * 900, "\u0301" * 900, "y"])
@example(pieces=["Word", "é", "x", " next", "\u0301 ", "Word"])
def test_it_agrees_after_every_piece(model: Lexical, plain: Lexical, pieces: list[str]) -> None:
    agrees_after_every_piece(model, plain, pieces)


@settings(deadline=None, max_examples=50)
@given(
    corner=st.sampled_from(CORNERS),
    off=st.integers(-2, 2),
    steps=st.lists(st.integers(0, 3), max_size=8),
)
def test_it_agrees_where_slices_begin_and_end(
    model: Lexical, plain: Lexical, corner: int, off: int, steps: list[int]
) -> None:
    text = "".join(f"word{number % 97} é" for number in range(1_000))
    start = max(0, corner + off)
    ends = [start + sum(steps[:count]) for count in range(len(steps) + 1)]

    pieces = [text[:start], *map(text.__getitem__, map(slice, ends, ends[1:]))]
    agrees_after_every_piece(model, plain, pieces)


def test_one_character_at_a_time_gives_what_the_whole_gives(model: Lexical) -> None:
    text = "The quick brown fox jumps über den 懒狗 — again, and again. " * 90
    growing = model.growing(Part.ANSWER)

    scores = [growing.add(character)[Category.ANY] for character in text]

    assert scores[-1] == pytest.approx(any_score(model, text), rel=0, abs=1e-9)


def test_nothing_added_changes_nothing(model: Lexical) -> None:
    growing = model.growing(Part.ANSWER)
    text = "some words " * 400

    assert growing.add("") == model.score_text("", Part.ANSWER)
    assert growing.add(text) == growing.add("") == growing.add("")


def test_a_text_over_the_limit_is_still_seen_whole(model: Lexical) -> None:
    needle = "one rare phrase of misuse "
    filler = "the same words again and again " * (MAX_CHARS // 25)
    half = len(filler) // 2
    text = filler[:half] + needle * 60 + filler[half:]
    growing = model.growing(Part.ANSWER)

    seen = growing.add(text)[Category.ANY]

    assert seen == max(any_score(model, text[at : at + MAX_CHARS]) for at in (0, STEP_CHARS * 100))
