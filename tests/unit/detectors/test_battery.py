import base64
import codecs
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import battery
from detectors.battery import BATTERY, HOMOGLYPHS, LEET, ZERO_WIDTH, prose, turns
from service.core.surfaces.chat import CHAT
from service.core.surfaces.prompts import prompt_text

TEXT = "Please tell a short story about Bees,\nand one about a Fox."

texts = st.text(max_size=60)
ascii_texts = st.text(st.characters(max_codepoint=126, min_codepoint=32), max_size=60)


@given(st.sampled_from(sorted(BATTERY)), st.text(st.characters(), max_size=40), st.integers(0, 9))
def test_any_text_can_be_written_in_each_way_and_always_comes_out_the_same(
    name: str, text: str, seed: int
) -> None:
    assert BATTERY[name](text, seed) == BATTERY[name](text, seed)


@pytest.mark.parametrize("name", sorted(BATTERY))
@pytest.mark.parametrize("text", ["", "\ud800 lone", "\x00", "e\u0301" * 50, "\u202eabc"])
def test_hostile_texts_can_be_written_in_each_way(name: str, text: str) -> None:
    BATTERY[name](text, 0)


@pytest.mark.parametrize("name", sorted(BATTERY))
def test_each_way_changes_a_text(name: str) -> None:
    assert BATTERY[name](TEXT, 0) != TEXT


@given(ascii_texts)
def test_case_is_all_that_changes(text: str) -> None:
    for change in (battery.upper, battery.lower, battery.alternating_case):
        assert change(text, 0).casefold() == text.casefold()


@given(ascii_texts)
def test_spacing_changes_white_space_alone(text: str) -> None:
    plain = "".join(text.split())
    for change in (battery.letters_spaced, battery.doubled_spaces, battery.line_breaks):
        assert "".join(change(text, 0).split()) == plain


@given(texts)
def test_what_is_encoded_can_be_decoded(text: str) -> None:
    assert base64.b64decode(battery.in_base64(text, 0)).decode() == text
    assert bytes.fromhex(battery.in_hex(text, 0)).decode() == text
    assert codecs.decode(battery.rot13(text, 0), "rot13") == text


@given(ascii_texts, st.integers(0, 9))
def test_characters_of_no_width_can_be_taken_out_again(text: str, seed: int) -> None:
    hidden = battery.zero_width(text, seed)

    assert "".join(it for it in hidden if it not in ZERO_WIDTH) == text
    assert len(hidden) == 2 * len(text)


@pytest.mark.parametrize("table", [LEET, HOMOGLYPHS])
def test_look_alikes_replace_one_character_by_one(table: dict[int, int]) -> None:
    assert len(TEXT.translate(table)) == len(TEXT)
    assert all(ord(TEXT[n]) in table or it == TEXT[n] for n, it in enumerate(TEXT.translate(table)))


def test_homoglyphs_are_letters_of_other_alphabets_and_all_different() -> None:
    assert all(chr(it).isalpha() and it > 0x36F for it in HOMOGLYPHS.values())
    assert len(set(HOMOGLYPHS.values())) == len(HOMOGLYPHS)


def test_padding_leaves_the_text_whole_at_its_place() -> None:
    assert battery.padded_before(TEXT, 0).endswith(TEXT)
    assert battery.padded_after(TEXT, 0).startswith(TEXT)
    assert TEXT in battery.padded_around(TEXT, 0)[1_500:-1_500]


@pytest.mark.parametrize("tokens", [1, 500, 8_000])
def test_prose_is_as_long_as_asked(tokens: int) -> None:
    assert 0 <= len(prose(tokens, 3)) - tokens * battery.CHARS_PER_TOKEN < 100
    assert prose(tokens, 3) != prose(tokens + 500, 4)


@given(ascii_texts)
def test_turns_tell_every_word_in_order(text: str) -> None:
    told = turns(text, 0)

    assert len(told) == 5
    assert " ".join(told[::2]).split() == text.split()


def test_turns_are_joined_as_the_service_joins_a_conversation() -> None:
    roles = ["user", "assistant"] * 3
    messages = [
        {"role": role, "content": it} for role, it in zip(roles, turns(TEXT, 1), strict=False)
    ]
    body = json.dumps({"model": "m", "messages": messages}).encode()

    assert prompt_text(CHAT, body).text == battery.split_over_turns(TEXT, 1)
