"""Ids of end users that a project has signed."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.jose import TokenDenial
from service.identity.end_users import EndUserVerifier, read_public_key
from tests.real_parts.jwks import SigningKey, forged, signing_key
from tests.unit.service.identity.issuers import NOW

ROOT = Path(__file__).resolve().parents[4]
ED, EC, RSA = signing_key("EdDSA"), signing_key("ES256"), signing_key("RS256")


def claims(**more: object) -> dict[str, Any]:
    given = {"sub": "user-7", "aud": "watchgate", "iat": NOW, "exp": NOW + 600, **more}
    return {name: value for name, value in given.items() if value is not None}


def ask(
    token: str, key: SigningKey = ED, now: float = NOW, by: EndUserVerifier | None = None
) -> str:
    return (by or EndUserVerifier()).verify(token, key.pem, "search", now)


@pytest.mark.parametrize("key", [ED, EC, RSA], ids=["EdDSA", "ES256", "RS256"])
def test_a_signed_id_is_the_one_that_the_project_has_signed(key: SigningKey) -> None:
    assert ask(key.sign(claims()), key) == "user-7"
    assert ask(key.sign(claims(), kid=None), key) == "user-7"


def test_an_id_that_is_remembered_expires_all_the_same() -> None:
    by, token = EndUserVerifier(), ED.sign(claims())
    assert ask(token, by=by) == "user-7"
    assert ask(token, now=NOW + 629.9, by=by) == "user-7"
    assert ask(token, now=NOW + 630, by=by) is TokenDenial.EXPIRED
    assert ask(token, now=NOW - 31, by=by) is TokenDenial.NOT_YET_VALID


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"sub": None}, TokenDenial.MALFORMED),
        ({"sub": "x" * 257}, TokenDenial.MALFORMED),
        ({"aud": None}, TokenDenial.WRONG_AUDIENCE),
        ({"aud": "others"}, TokenDenial.WRONG_AUDIENCE),
        ({"aud": ["watchgate", "others"]}, TokenDenial.WRONG_AUDIENCE),
        ({"exp": None}, TokenDenial.MALFORMED),
        ({"iat": None}, TokenDenial.MALFORMED),
        ({"exp": NOW + 3601}, TokenDenial.TOO_LONG_LIVED),
        ({"exp": NOW - 60, "iat": NOW - 100}, TokenDenial.EXPIRED),
        ({"iat": NOW + 60}, TokenDenial.NOT_YET_VALID),
        ({"nbf": NOW + 60}, TokenDenial.NOT_YET_VALID),
        ({"project": "chat"}, TokenDenial.CLAIM_REFUSED),
        ({"project": ["search"]}, TokenDenial.CLAIM_REFUSED),
    ],
)
def test_an_id_is_refused_for_what_its_token_says(
    more: dict[str, Any], reason: TokenDenial
) -> None:
    assert ask(ED.sign(claims(**more))) is reason


def test_an_id_may_name_its_audience_in_a_list_and_its_project() -> None:
    assert ask(ED.sign(claims(aud=["watchgate"], project="search"))) == "user-7"


def test_the_algorithm_is_that_of_the_projects_key() -> None:
    assert ask(RSA.sign(claims()), ED) is TokenDenial.BAD_ALGORITHM
    other = SigningKey("key-1", "PS256", RSA.private)
    assert ask(other.sign(claims()), RSA) is TokenDenial.BAD_ALGORITHM
    for name in ("none", "HS256", "NONE"):
        assert ask(forged({"alg": name}, claims())) is TokenDenial.BAD_ALGORITHM


def test_an_id_that_another_project_has_signed_is_refused() -> None:
    other = signing_key("EdDSA", "other")
    assert ask(other.sign(claims())) is TokenDenial.BAD_SIGNATURE


def test_what_is_remembered_of_one_project_proves_nothing_in_another() -> None:
    by, token = EndUserVerifier(), ED.sign(claims(project="search"))
    assert by.verify(token, ED.pem, "search", NOW) == "user-7"
    assert by.verify(token, ED.pem, "chat", NOW) is TokenDenial.CLAIM_REFUSED
    assert by.verify(token, signing_key("EdDSA", "o").pem, "search", NOW) is (
        TokenDenial.BAD_SIGNATURE
    )


def test_a_text_that_is_no_token_is_refused() -> None:
    assert ask("user-7") is TokenDenial.MALFORMED
    assert ask("x" * 9000) is TokenDenial.TOO_LARGE


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "ssh-ed25519 AAAA",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        signing_key("ES384").pem,
        signing_key("RS256", bits=1024).pem,
        ED.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        ED.pem + "x" * 8192,
        "\ud800",
    ],
)
def test_a_key_that_cannot_be_used_is_refused_in_words(pem: str) -> None:
    with pytest.raises(ValueError, match="expected a public key in PEM"):
        read_public_key(pem)
    token = ED.sign(claims())
    assert EndUserVerifier().verify(token, pem, "search", NOW) is TokenDenial.UNKNOWN_KEY


@given(st.text(max_size=200))
@settings(max_examples=100)
def test_no_text_proves_an_id_or_ends_in_another_error(text: str) -> None:
    assert isinstance(ask(text), TokenDenial)


def test_the_documents_example_signs_an_id() -> None:
    text = (ROOT / "docs/identity.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)  # noqa: S102  (the document's own code)
    pem = ED.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    token = names["signed_id"]("user-7", pem)
    assert EndUserVerifier().verify(token, ED.pem, "lab", time.time()) == "user-7"
