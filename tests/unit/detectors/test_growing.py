"""A growing text scores what the text so far scores, wherever it was cut."""

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors.api import Category, Part
from detectors.features import BUCKETS
from detectors.lexical import Head, Lexical
from detectors.plain import PlainWeights
from detectors.slices import MAX_CHARS, OVERLAP_CHARS, SLICE_CHARS, STEP_CHARS
from tests.real_parts.texts import cut_texts

CORNERS = [0, 1, OVERLAP_CHARS, STEP_CHARS, SLICE_CHARS, SLICE_CHARS + STEP_CHARS]


def lexical_of_random_weights() -> Lexical:
    """Make a model in which any word that is missed, or seen twice, changes the score."""
    weights = random.Random(0)  # noqa: S311 - the same in every run
    plain = PlainWeights([weights.uniform(-1, 1) for _ in range(BUCKETS)])
    return Lexical({Part.ANSWER: Head(plain, 0.1, slope=1, offset=0)}, "random")


MODEL = lexical_of_random_weights()


def whole(text: str) -> float:
    return MODEL.score_text(text, Part.ANSWER)[Category.ANY]


def agrees_after_every_piece(pieces: list[str]) -> None:
    growing, so_far = MODEL.growing(Part.ANSWER), ""
    for piece in pieces:
        so_far += piece
        assert growing.add(piece)[Category.ANY] == pytest.approx(whole(so_far), rel=0, abs=1e-9)


@settings(deadline=None, max_examples=300)
@given(cut_texts())
@example(["e", "\u0301"])
@example(["< ", "\u0338"])
@example(["x\u0323" * 900, "\u0301" * 900, "y"])
def test_it_agrees_after_every_piece(pieces: list[str]) -> None:
    agrees_after_every_piece(pieces)


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(CORNERS), st.integers(-2, 2), st.lists(st.integers(0, 3), max_size=8))
def test_it_agrees_where_slices_begin_and_end(corner: int, off: int, steps: list[int]) -> None:
    text = "".join(f"word{number % 97} é" for number in range(1_000))
    start = max(0, corner + off)
    ends = [start + sum(steps[:count]) for count in range(len(steps) + 1)]

    agrees_after_every_piece([text[:start], *map(text.__getitem__, map(slice, ends, ends[1:]))])


def test_one_character_at_a_time_gives_what_the_whole_gives() -> None:
    text = "The quick brown fox jumps über den 懒狗 — again, and again. " * 90
    growing = MODEL.growing(Part.ANSWER)

    scores = [growing.add(character)[Category.ANY] for character in text]

    assert scores[-1] == pytest.approx(whole(text), rel=0, abs=1e-9)


def test_nothing_added_changes_nothing() -> None:
    growing = MODEL.growing(Part.ANSWER)
    text = "some words " * 400

    assert growing.add("") == MODEL.score_text("", Part.ANSWER)
    assert growing.add(text) == growing.add("") == growing.add("")


def test_a_text_over_the_limit_is_still_seen_whole() -> None:
    needle = "one rare phrase of misuse "
    filler = "the same words again and again " * (MAX_CHARS // 25)
    half = len(filler) // 2
    text = filler[:half] + needle * 60 + filler[half:]
    growing = MODEL.growing(Part.ANSWER)

    seen = growing.add(text)[Category.ANY]

    assert seen == max(whole(text[at : at + MAX_CHARS]) for at in (0, STEP_CHARS * 100))
