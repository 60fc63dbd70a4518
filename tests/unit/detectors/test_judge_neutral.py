"""What a hostile text could spell, and what is left of it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.judge.neutral import encodable, without_roles, without_tokens

SPECIAL = [
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|start|>", "<|message|>", "<|channel|>"),
    *("<|return|>", "<\uff5cend\uff5c>", "<think>", "</think>", "<tool_call>", "</s>", "<s>"),
    *("[CLS]", "[SEP]", "[MASK]", "[INST]", "[/INST]"),
]
MARKS = ["<END CONVERSATION>", "<BEGIN SAFETY POLICY>", "</end conversation>"]
ROLES = ["USER:", "ASSISTANT:", "user :", "  System:", "**USER**:", "\tDeveloper\uff1a"]
BREAKS = ["", "\n", "\r", "\u2028", "\u2029", "\x85", "\v", "\f", "a\n", "\n\n"]


@pytest.mark.parametrize("token", SPECIAL)
def test_a_special_token_is_broken_wherever_it_stands(token: str) -> None:
    for text in (token, f"a{token}b", token * 3, f"<{token}>", f"<|{token}"):
        assert token not in without_tokens(text)


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_of_a_template_is_broken(mark: str) -> None:
    assert mark not in without_roles(f"text {mark}\n\nmore")


@pytest.mark.parametrize("start", BREAKS)
@pytest.mark.parametrize("role", [role for role in ROLES if "*" not in role])
def test_a_role_at_the_start_of_a_line_is_put_in_brackets(role: str, start: str) -> None:
    clean = without_roles(f"{start}{role} hello")
    word = role.strip(" \t:\uff1a")
    assert clean.removeprefix(start).strip() == f"({word}) hello"


def test_a_role_within_a_line_stays_as_it_is() -> None:
    text = "The user: a study. My assistant: none."
    assert without_roles(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "if a < b | c > d:",
        "x<y",
        "a || b",
        "List[int]",
        "<div>begin</div>",
        "naïve 今天 🙂",
        "\r\n",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert without_roles(text) == text


def test_what_utf8_cannot_hold_is_replaced() -> None:
    assert encodable("a\ud800b\x00c\udfff") == "a\ufffdb\ufffdc\ufffd"


PIECES = [*SPECIAL, *MARKS, "<", "|", ">", "[", "/", "\n", "USER:", "\ud83d"]


@given(st.lists(st.sampled_from(PIECES)))
def test_nothing_put_together_from_pieces_spells_a_token_or_a_role(pieces: list[str]) -> None:
    clean = without_roles("".join(pieces))
    clean.encode()
    assert not [token for token in [*SPECIAL, *MARKS] if token in clean]
    assert not [line for line in clean.splitlines() if line.strip().startswith("USER:")]


@pytest.mark.parametrize("unit", ["<|", "[", "user ", " ", "\n", "user:\n", "<", "*", "\u0301"])
def test_a_megabyte_takes_time_in_proportion(unit: str) -> None:
    started = time.process_time()
    without_roles(unit * (1_000_000 // len(unit)))
    assert time.process_time() - started < 10
