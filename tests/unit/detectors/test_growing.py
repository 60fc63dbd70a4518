"""A growing text scores what the text so far scores, wherever it was cut, on both engines."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors.api import Category, Part
from detectors.features import LONGEST_RUN
from detectors.lexical import Head, Lexical
from detectors.log_odds import straight
from detectors.native import NativeWeights
from detectors.plain import LONG, SHORT, OfKind, PlainWeights, WordWeights
from detectors.slices import MAX_CHARS
from tests.real_parts.texts import cut_texts

CORNERS = [0, 1, SHORT, SHORT + 1, LONG, LONG + 1, 2 * LONG]
SHIFT = 1.5


def kinds_of(weights: list[int]) -> list[OfKind]:
    return [OfKind(weights, SHIFT, 0.1), OfKind(weights[7:] + weights[:7], 0.5, -0.2)]


def lexical_of(words: WordWeights) -> Lexical:
    return Lexical(
        {Part.ANSWER: Head(words, straight(1, 0))},
        "random",
        "test",
    )


@pytest.fixture(scope="module", params=["plain", "native"])
def model(request: pytest.FixtureRequest, random_weights: list[int]) -> Lexical:
    if request.param == "plain":
        return lexical_of(PlainWeights(kinds_of(random_weights)))
    return lexical_of(NativeWeights(request.getfixturevalue("library"), kinds_of(random_weights)))


@pytest.fixture(scope="module")
def plain(random_weights: list[int]) -> Lexical:
    return lexical_of(PlainWeights(kinds_of(random_weights)))


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
@given(corner=st.sampled_from(CORNERS), steps=st.lists(st.integers(0, 3), max_size=8))
def test_it_agrees_where_stretches_begin_and_end(
    model: Lexical, plain: Lexical, corner: int, steps: list[int]
) -> None:
    words = [f"word{number % 97} é" for number in range(3 * LONG)]
    ends = [corner // 2 + sum(steps[:count]) for count in range(len(steps) + 1)]

    pieces = ["".join(words[: ends[0]])]
    pieces += ["".join(words[start:end]) for start, end in pairwise(ends)]
    agrees_after_every_piece(model, plain, pieces)


@pytest.mark.parametrize("letter", ["x", "é", "\u0301"])
@pytest.mark.parametrize("step", [1, 7, LONGEST_RUN + 1])
def test_a_word_without_end_is_cut_where_that_of_the_whole_is(
    model: Lexical, plain: Lexical, letter: str, step: int
) -> None:
    text = "start " + letter * (2 * LONGEST_RUN + 5) + " end"
    pieces = [
        text[:LONGEST_RUN],
        *(text[at : at + step] for at in range(LONGEST_RUN, len(text), step)),
    ]
    growing = model.growing(Part.ANSWER)

    scores = [growing.add(piece)[Category.ANY] for piece in pieces]

    assert scores[-1] == any_score(model, text) == any_score(plain, text)


HIDDEN = [
    "c29tZSB3b3JkcyBvZiBhIHRleHQgdGhhdCBpcyBub3Qgc2Vlbg== and more",
    "736f6d6520776f726473206f66206120746578742074686174206973 and more",
    "s o m e   w o r d s   o f   a   t e x t and more",
]


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("step", [1, 5, 30])
def test_what_is_hidden_is_seen_wherever_it_is_cut(
    model: Lexical, plain: Lexical, hidden: str, step: int
) -> None:
    text = f"look: {hidden}"
    agrees_after_every_piece(
        model, plain, [text[at : at + step] for at in range(0, len(text), step)]
    )


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


def test_a_text_over_the_limit_is_still_seen_whole(model: Lexical, plain: Lexical) -> None:
    needle = "".join(f"one rare phrase {number} of misuse " for number in range(60))
    filler = "the same words again and again " * (MAX_CHARS // 25)
    text = filler[: len(filler) // 2] + needle + filler[len(filler) // 2 :]
    growing = model.growing(Part.ANSWER)

    seen = growing.add(text)[Category.ANY]

    around = text[len(filler) // 2 - MAX_CHARS // 3 :][:MAX_CHARS]
    assert seen == any_score(plain, around) != any_score(plain, filler[:MAX_CHARS])
