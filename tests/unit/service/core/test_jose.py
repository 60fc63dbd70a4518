"""How a token's own words are read: strictly, and nothing ends in another error."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.jose import MAX_TOKEN_BYTES, TokenDenial, Unverified, read_compact
from tests.real_parts.jwks import base64url, forged

HEADER = {"alg": "RS256", "kid": "key-1", "typ": "JWT"}
CLAIMS = {"iss": "https://issuer.example.org", "sub": "alice"}


def test_a_token_tells_its_algorithm_its_key_and_its_claims() -> None:
    token = forged(HEADER, CLAIMS, b"sig")
    signed = token.rpartition(".")[0].encode()
    assert read_compact(token) == Unverified("RS256", "key-1", CLAIMS, signed, b"sig")


def test_a_token_may_leave_its_type_and_its_key_out() -> None:
    said = read_compact(forged({"alg": "ES256"}, CLAIMS))
    assert isinstance(said, Unverified)
    assert (said.algorithm, said.key_id, said.claims) == ("ES256", None, CLAIMS)


@pytest.mark.parametrize("type_", ["jwt", "JWT", "at+jwt", "application/at+JWT"])
def test_id_tokens_and_access_tokens_are_tokens(type_: str) -> None:
    assert isinstance(read_compact(forged({**HEADER, "typ": type_}, CLAIMS)), Unverified)


@pytest.mark.parametrize(
    "more",
    [
        {"typ": "logout+jwt"},
        {"typ": "dpop+jwt"},
        {"typ": None},
        {"typ": 1},
        {"crit": ["exp"]},
        {"crit": []},
        {"b64": False},
        {"b64": True},
        {"cty": "JWT"},
        {"enc": "A128GCM"},
        {"zip": "DEF"},
        {"kid": 7},
        {"kid": ["key-1"]},
        {"kid": {"a": 1}},
        {"kid": "k" * 257},
    ],
)
def test_a_header_that_would_have_it_read_otherwise_is_refused(more: dict[str, Any]) -> None:
    assert read_compact(forged({**HEADER, **more}, CLAIMS)) is TokenDenial.MALFORMED


@pytest.mark.parametrize("algorithm", [None, 1, ["RS256"], {"alg": "RS256"}, True])
def test_an_algorithm_is_a_text(algorithm: object) -> None:
    assert read_compact(forged({"alg": algorithm}, CLAIMS)) is TokenDenial.BAD_ALGORITHM


def test_keys_that_a_token_brings_itself_are_not_looked_at() -> None:
    brought = {"jwk": {"kty": "oct"}, "jku": "https://evil.example.org/keys", "x5u": 1, "x5c": 2}
    said = read_compact(forged({**HEADER, **brought}, CLAIMS))
    assert isinstance(said, Unverified)
    assert (said.algorithm, said.key_id, said.claims) == ("RS256", "key-1", CLAIMS)


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"RS256","alg":"none"}',
        b'{"alg":"RS256","kid":"a","kid":"b"}',
        b'{"alg":"RS256","more":{"a":1,"a":2}}',
        b'{"alg":"RS256","n":NaN}',
        b'{"alg":"RS256","n":Infinity}',
        b'{"alg":"RS256"} ,',
        b'\xef\xbb\xbf{"alg":"RS256"}',
        b'{"alg":"\xff"}',
        b'["RS256"]',
        b'"RS256"',
        b"",
        b"[" * 3000,
        b'{"a":' * 1000,
        b'{"alg":"RS256","n":' + b"9" * 5000 + b"}",
    ],
)
def test_a_header_that_two_readers_could_read_differently_is_refused(header: bytes) -> None:
    assert read_compact(forged(header, CLAIMS)) is TokenDenial.MALFORMED
    assert read_compact(forged(HEADER, header)) is TokenDenial.MALFORMED


def test_claims_that_come_twice_are_refused() -> None:
    twice = b'{"iss":"https://issuer.example.org","sub":"alice","sub":"root"}'
    assert read_compact(forged(HEADER, twice)) is TokenDenial.MALFORMED


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token + ".more",
        lambda token: token + "=",
        lambda token: token + "\n",
        lambda token: " " + token,
        lambda token: token.replace(".", "!.", 1),
        lambda token: token.replace(".", ".\r\n", 1),
        lambda token: token.rpartition(".")[0] + ".",
        lambda token: token.rpartition(".")[0],
        lambda token: "." + token.partition(".")[2],
        lambda token: token.replace("e", "é", 1),
    ],
)
def test_only_three_parts_of_base64url_are_a_token(change: Any) -> None:  # noqa: ANN401
    assert read_compact(change(forged(HEADER, CLAIMS))) is TokenDenial.MALFORMED


def test_a_part_that_cannot_be_base64url_is_refused() -> None:
    header, claims = base64url(json.dumps(HEADER).encode()), base64url(b"{}")
    assert read_compact(f"{header}A.{claims}.c2ln") is TokenDenial.MALFORMED
    assert read_compact(f"aaaaa.{claims}.c2ln") is TokenDenial.MALFORMED


def test_a_token_over_8_kib_is_refused_unread() -> None:
    assert read_compact("." * (MAX_TOKEN_BYTES + 1)) is TokenDenial.TOO_LARGE
    long = forged(HEADER, {"pad": "x" * MAX_TOKEN_BYTES})
    assert read_compact(long) is TokenDenial.TOO_LARGE


@given(st.one_of(st.text(max_size=200), st.from_regex(r"[\w-]{0,40}\.[\w-]{0,40}\.[\w-]{0,40}")))
@settings(max_examples=200)
def test_no_text_ends_in_another_error(text: str) -> None:
    assert isinstance(read_compact(text), TokenDenial | Unverified)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(json_values, json_values)
@settings(max_examples=200)
def test_no_json_ends_in_another_error(header: object, claims: object) -> None:
    assert isinstance(read_compact(forged(header, claims)), TokenDenial | Unverified)
