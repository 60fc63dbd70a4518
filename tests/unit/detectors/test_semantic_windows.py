from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.semantic.windows import (
    MAX_CHARS,
    MAX_PIECES,
    MAX_TOKENS,
    MAX_WINDOWS,
    OVERLAP_TOKENS,
    PARAGRAPH_CHARS,
    PIECE_CHARS,
    WINDOW_TOKENS,
    Tokens,
    evenly,
    paragraphs,
    pieces,
    tokens_of,
    windows,
)


def numbers(text: str) -> list[int]:
    """Stand in for a tokenizer: a token is a word, and words here are numbers."""
    return [int(word) for word in text.split()]


def counted(tokens: int) -> str:
    """Return the numbers from 0, none of them cut by a border of pieces."""
    return "".join(f"{number:>9} " for number in range(tokens))


def cut(text: str) -> list[Tokens]:
    return windows(tokens_of(text, numbers))


def test_a_text_without_tokens_has_no_window() -> None:
    assert cut("") == []
    assert cut(" " * 5_000) == []


def test_a_short_text_is_one_window() -> None:
    assert cut("1 2 3") == [(1, 2, 3)]


@pytest.mark.parametrize("tokens", [WINDOW_TOKENS + 1, 1_000, MAX_TOKENS])
def test_every_token_is_in_a_window_up_to_the_limit(tokens: int) -> None:
    found = cut(counted(tokens))

    assert {token for window in found for token in window} == set(range(tokens))
    assert {len(window) for window in found} == {WINDOW_TOKENS}


def test_neighbours_overlap() -> None:
    first, second, *_ = cut(counted(1_000))

    assert first[-OVERLAP_TOKENS:] == second[:OVERLAP_TOKENS]


def test_beyond_the_limit_windows_lie_evenly_from_the_first_token_to_the_last() -> None:
    found = cut(counted(MAX_CHARS // 10))

    starts = [window[0] for window in found]
    steps = {after - before for before, after in pairwise(starts[:-1])}  # the last is moved
    assert len(found) == MAX_WINDOWS
    assert (found[0][0], found[-1][-1]) == (0, MAX_CHARS // 10 - 1)
    assert max(steps) - min(steps) <= WINDOW_TOKENS - OVERLAP_TOKENS


def test_a_huge_text_is_sampled_before_it_is_tokenised() -> None:
    found = list(pieces("a" + "b" * (10 * MAX_CHARS) + "c"))

    assert len(found) == MAX_PIECES
    assert max(map(len, found)) == PIECE_CHARS
    assert (found[0][0], found[-1][-1]) == ("a", "c")


@given(text=st.text(max_size=3_000))
def test_pieces_are_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text


@given(count=st.integers(0, 500), most=st.integers(2, 50))
def test_chosen_numbers_are_few_in_order_and_hold_both_ends(count: int, most: int) -> None:
    found = list(evenly(count, most))

    assert len(found) == min(count, most)
    assert found == sorted(set(found))
    assert set(found) <= set(range(count))
    assert not count or (found[0], found[-1]) == (0, count - 1)


def test_paragraphs_are_cut_at_blank_lines_and_short_neighbours_stay_together() -> None:
    long = "y" * PARAGRAPH_CHARS
    assert paragraphs(f"a\nb\n \t\n\nc\n\n{long}\n\nd") == ["a\nb\n\nc", long, "d"]
    assert paragraphs("") == paragraphs(" \n\n\n ") == []


@given(text=st.text(st.sampled_from("ab \n\t"), max_size=3_000))
def test_paragraphs_lose_nothing_but_blank_lines(text: str) -> None:
    assert "".join(paragraphs(text)).split() == text.split()


def test_cutting_into_paragraphs_takes_time_in_proportion() -> None:
    for text in ("\n" * MAX_CHARS, "\n " * (MAX_CHARS // 2), "a\n \t" * (MAX_CHARS // 4)):
        assert len(paragraphs(text)) <= 1
