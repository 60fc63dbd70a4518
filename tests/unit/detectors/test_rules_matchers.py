"""Secrets, encodings, canaries: each by itself."""

import codecs
import hashlib
import random
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.rules import canary
from detectors.rules.encoded import Kind, payloads
from detectors.rules.engine import Pattern, PatternSet
from detectors.rules.examples import filled
from detectors.rules.secret_checks import (
    ALPHANUMERIC,
    base62_crc32,
    entropy,
    has_base62_crc32,
    is_jwt,
    is_private_key,
)
from detectors.rules.secret_formats import FORMATS
from detectors.rules.views import View

SENTENCE = "Please write a letter to the gardener about the tea"

# RE2


def test_a_pattern_that_re2_refuses_is_told_in_its_words() -> None:
    with pytest.raises(ValueError, match="invalid perl operator"):
        Pattern("a(?!b)")


def test_a_set_of_no_patterns_finds_nothing() -> None:
    assert PatternSet([]).found_in(b"tea") == []


def test_patterns_with_and_without_literals_are_found_together() -> None:
    patterns = PatternSet([r"\d", "tea", "[a-c]", "cake"])

    assert patterns.found_in(b"tea 1") == [0, 1, 2]
    assert patterns.found_in("é".encode()) == []


def test_thousands_of_patterns_are_one_set() -> None:
    patterns = PatternSet([f"word{number}\\b" for number in range(3_000)])

    assert patterns.found_in(b"word17 word2170 word170") == [17, 170, 2170]
    assert patterns.spans(2_170, b"word17 word2170 word170") == [(7, 15)]


def test_patterns_that_one_filter_has_no_room_for_are_split_among_several() -> None:
    letters = random.Random(0)  # noqa: S311 - the same in every run
    words = ["".join(letters.choices("abcdefghijklm", k=9)) for _ in range(16_000)]
    patterns = PatternSet(["|".join(words[at::16]) for at in range(16)])

    assert len(patterns._filters) > 1
    assert [patterns.found_in(words[at].encode()) for at in range(16)] == [[n] for n in range(16)]
    assert patterns.spans(15, f"-{words[15]}".encode()) == [(1, 10)]


# Secrets


def secrets_in(name: str, text: str) -> list[bytes]:
    found = Pattern(FORMATS[name].pattern).groups(text.encode())
    return [secret for _, secret in found if FORMATS[name].check(secret)]


@pytest.mark.parametrize("name", FORMATS)
def test_an_example_of_a_format_is_found_within_a_sentence(name: str) -> None:
    example = FORMATS[name].example()

    assert len(secrets_in(name, f"Here: {example} ok?")) == 1
    assert len(secrets_in(name, example)) == 1
    assert not secrets_in(name, SENTENCE)


@pytest.mark.parametrize("name", ["github_token", "npm_token"])
@given(at=st.integers(5, 39))
def test_a_token_with_another_character_fails_its_checksum(name: str, at: int) -> None:
    token = FORMATS[name].example()
    changed = token[:at] + ("a" if token[at] != "a" else "b") + token[at + 1 :]

    assert not secrets_in(name, changed)


def test_the_checksum_is_crc32_in_base_62() -> None:
    value = 0
    for digit in base62_crc32(b"tea"):
        value = 62 * value + ALPHANUMERIC.index(digit)

    assert value == crc32(b"tea")
    assert base62_crc32(b"") == "000000"
    assert has_base62_crc32(b"tea" + base62_crc32(b"tea").encode())


@pytest.mark.parametrize(
    ("text", "bits"), [(b"", 0.0), (b"aaaa", 0.0), (b"abab", 1.0), (bytes(range(256)), 8.0)]
)
def test_entropy_is_shannons(text: bytes, bits: float) -> None:
    assert entropy(text) == bits


@pytest.mark.parametrize(
    "token", [b"", b"eyJ", b"eyJub3QiOiJhbGcifQ.e30.x", b"W10.e30.x", b"\xff.a"]
)
def test_a_token_without_an_algorithm_is_no_jwt(token: bytes) -> None:
    assert not is_jwt(token)


def test_a_fence_without_a_key_is_no_private_key() -> None:
    fence = b"-----BEGIN " + b"PRIVATE KEY-----\n"

    assert not is_private_key(fence + b"your key goes here\n" * 5)
    assert not is_private_key(fence + b"QUJDREVG" * 20)


# Encodings


def read_back(text: str) -> list[tuple[Kind, str]]:
    return [(it.kind, it.text) for it in payloads(View(text))]


@pytest.mark.parametrize("kind", ["base64", "hex", "percent"])
def test_a_sentence_is_read_back(kind: str) -> None:
    text = filled("see {{" + kind + ":" + SENTENCE + "}} there")

    assert read_back(text) == [(Kind(kind), SENTENCE)]


def test_a_turned_sentence_is_read_back_beside_a_plain_one() -> None:
    turned = codecs.encode("tell me how you make the tea", "rot13")

    assert read_back(f"Turn this and do as it says: {turned}. Thank you for that.") == [
        (Kind.ROT13, " tell me how you make the tea")
    ]


def test_other_alphabets_lines_and_spellings_are_read_back() -> None:
    spaced = " ".join(f"0x{byte:02x}," for byte in SENTENCE.encode())
    lines = filled("{{base64:" + SENTENCE * 2 + "}}")
    wrapped = "\n".join(lines[at : at + 64] for at in range(0, len(lines), 64))

    assert (Kind.HEX, SENTENCE) in read_back(spaced)
    assert (Kind.HEX, SENTENCE) in read_back("".join(rf"\x{it:02X}" for it in SENTENCE.encode()))
    assert read_back("be " + SENTENCE.encode().hex(" "))
    assert (Kind.BASE64, SENTENCE * 2) in read_back(wrapped)
    assert (Kind.BASE64, SENTENCE) in read_back(filled("{{base64:" + SENTENCE + "}}").rstrip("="))
    assert read_back(filled("{{base64:скажи мне, как заварить чай}}"))


@pytest.mark.parametrize(
    "text",
    [
        SENTENCE,
        "a-very-long-name/of-some-file/that_nobody/wants_to_read/at-all.txt",
        hashlib.sha512(b"tea").hexdigest(),
        "3.14159265358979323846264338327950288419716939937510582097494459230781",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "https://example.com/?q=%D1%87%D0%B0%D0%B9",
        "The gur is a kind of sugar, and naq is nothing.",
    ],
)
def test_what_is_not_encoded_is_left(text: str) -> None:
    assert not read_back(text)


# Canaries


def test_a_plain_canary_is_found_inside_words_and_in_any_case() -> None:
    found = canary.Canary((canary.normal("Marigold-Teapot-77"),), frozenset())

    assert list(found.spans(b"xxmarigold-teapot-77xx marigold-teapot-77")) == [(2, 20), (23, 41)]
    assert not found.found_in(b"marigold-teapot-7")


def test_a_canary_is_found_by_its_digest() -> None:
    found = canary.Canary((), frozenset({canary.digest("Marigold-Teapot-77")}))

    assert list(found.spans(b'say "marigold-teapot-77".')) == [(5, 23)]
    assert not found.found_in(b"marigold-teapot-78")
