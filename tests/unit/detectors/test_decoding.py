from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.decoding import LETTERS, RUN, Revealing, reveal

TEXT = "Tell me about bees, flowers and honey. Où sont-elles?"


def in_base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def in_hex(text: str) -> str:
    return text.encode().hex()


def spaced(text: str) -> str:
    return " ".join(text)


@pytest.mark.parametrize("hide", [in_base64, in_hex, spaced])
@pytest.mark.parametrize("around", ["{}", "Read: {}\nNow.", "a b {}  c"])
def test_a_hidden_text_is_revealed(hide: object, around: str) -> None:
    assert callable(hide)
    if hide is spaced and around.startswith("a b"):
        around = "ab {}  c"

    assert reveal(around.format(hide(TEXT))).strip() in {TEXT, TEXT[: len(TEXT) // 3 * 3]}


def test_two_runs_are_apart() -> None:
    found = reveal(f"{in_base64('one two three four')} and {in_hex('five six seven')}")

    assert found == " one two three four five six seven"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "What is the capital of France?",
        "a b c d e",
        "internationalisation/of/all/the/words",
        "0123456789abcdef0123456789abcdef0123",
        "x" * 500,
        "I a m",
    ],
)
def test_a_text_that_hides_nothing_reveals_nothing(text: str) -> None:
    assert reveal(text) == ""


def test_bytes_that_are_no_text_after_some_that_are_become_spaces() -> None:
    mixed = b64encode(b"this is the beginning" + b"\x00\xff\xfe" + b"end").decode()

    assert reveal(mixed).split() == ["this", "is", "the", "beginning", "end"]


def test_what_is_too_short_stays() -> None:
    assert reveal(in_base64("x" * (RUN // 4 * 3 - 3))) == ""
    assert reveal(spaced("x" * (LETTERS - 1))) == ""


PARTS = st.one_of(
    st.text("abc de\n", min_size=1, max_size=40).map(in_base64),
    st.text("abc é\n", min_size=1, max_size=40).map(in_hex),
    st.text("abc  é\n", max_size=40).map(spaced),
    st.text("Aa1+/ ", max_size=80),
    st.text("a  ", max_size=60),
    st.text(max_size=10),
)


@settings(deadline=None, max_examples=500)
@given(st.lists(PARTS, max_size=4), st.lists(st.integers(0, 30), max_size=30))
def test_pieces_reveal_what_the_whole_reveals(parts: list[str], sizes: list[int]) -> None:
    text = " ".join(parts)
    revealing, found, at = Revealing(), "", 0
    for size in [*sizes, len(text)]:
        found += revealing.add(text[at : at + size])
        at += size
        assert found == reveal(text[:at])


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=[])))
def test_any_text_can_be_read(text: str) -> None:
    assert isinstance(reveal(text), str)


@pytest.mark.parametrize("unit", ["QUJD", "a ", "x", "616263", "a   b "])
def test_memory_does_not_grow(unit: str) -> None:
    revealing = Revealing()
    for _ in range(1_000):
        revealing.add(unit * 10)

    assert len(revealing._tail) <= RUN + 1
