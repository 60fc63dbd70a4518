"""Which keys of a JWK set count, and for what."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm

from service.errors import KeysNotRead
from service.identity.keys import ALGORITHMS, KeySet, read_key_set
from tests.real_parts.jwks import key_set, signing_key

RSA, EC, ED = signing_key("RS256"), signing_key("ES256", "key-ec"), signing_key("EdDSA", "key-ed")


def used(*keys: Any, algorithms: tuple[str, ...] = ALGORITHMS) -> set[tuple[str | None, str]]:  # noqa: ANN401  (keys or JWKs)
    """Return under which names and for which algorithms keys are found."""
    found = read_key_set(key_set(*keys), algorithms)
    names = ("key-1", "key-ec", "key-ed", None)
    return {(id_, alg) for id_ in names for alg in ALGORITHMS if found.find(id_, alg)}


def why(document: bytes) -> str:
    with pytest.raises(KeysNotRead) as error:
        read_key_set(document, ALGORITHMS)
    return error.value.reason


def test_a_key_counts_for_the_algorithms_of_its_type() -> None:
    assert used(EC.jwk(alg=None)) == {("key-ec", "ES256"), (None, "ES256")}
    assert used(ED.jwk(alg=None)) == {("key-ed", "EdDSA"), (None, "EdDSA")}
    assert {alg for _, alg in used(RSA.jwk(alg=None))} == {
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"
    }  # fmt: skip
    p384 = signing_key("ES384", "key-ec")
    assert used(p384.jwk(alg=None)) == {("key-ec", "ES384"), (None, "ES384")}


def test_a_key_that_names_its_algorithm_counts_for_that_one() -> None:
    assert used(RSA) == {("key-1", "RS256"), (None, "RS256")}
    assert used(RSA, EC.jwk(alg="RS256")) == used(RSA)


def test_only_the_pinned_algorithms_count() -> None:
    assert used(RSA.jwk(alg=None), EC, algorithms=("RS256",)) == used(RSA)


def test_a_token_that_names_no_key_has_the_only_one_of_its_algorithm() -> None:
    other = signing_key("RS256", "key-2")
    assert (None, "RS256") not in used(RSA, other, EC)
    assert (None, "ES256") in used(RSA, other, EC)


def test_of_two_keys_under_one_name_the_first_counts() -> None:
    other = signing_key("RS256", "key-2")
    found = read_key_set(key_set(RSA, other.jwk(kid="key-1")), ALGORITHMS).find("key-1", "RS256")
    alone = read_key_set(key_set(RSA), ALGORITHMS).find("key-1", "RS256")
    assert found == alone


@pytest.mark.parametrize(
    "unfit",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "key-ec", "alg": "HS256"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "key-ec"},
        EC.jwk(use="enc"),
        EC.jwk(use=["sig"]),
        EC.jwk(key_ops=["sign"]),
        EC.jwk(key_ops="verify"),
        EC.jwk(alg="HS256"),
        EC.jwk(alg="none"),
        EC.jwk(alg=1),
        EC.jwk(kid=1),
        EC.jwk(crv="P-384"),
        EC.jwk(x="AAAA"),
        EC.jwk(x=1),
        EC.jwk(y=None),
        EC.jwk(x="ÿ"),
        EC.jwk(kty="RSA"),
        ED.jwk(x="AAAA", kid="key-ec"),
        ED.jwk(crv="Ed448", kid="key-ec"),
        signing_key("RS256", "key-ec", bits=1024).jwk(),
        RSA.jwk(kid="key-ec", e="AQ"),
        {**ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256K1()), as_dict=True), "kid": "k"},
        {},
        "key",
        None,
    ],
)
def test_keys_of_other_kinds_or_uses_are_passed_over(unfit: Any) -> None:  # noqa: ANN401  (JSON)
    assert used(RSA, unfit) == used(RSA)
    assert why(key_set(unfit)) == "no_usable_key"


def test_of_a_private_key_the_public_half_alone_is_read() -> None:
    assert isinstance(EC.private, ec.EllipticCurvePrivateKey)
    shown = {**ECAlgorithm.to_jwk(EC.private, as_dict=True), "kid": "key-ec"}
    assert "d" in shown
    found = read_key_set(key_set(shown), ALGORITHMS).find("key-ec", "ES256")
    assert found is not None
    assert isinstance(found.key, ec.EllipticCurvePublicKey)


@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b"{}", b'{"keys":{}}', b'{"keys":"x"}', b"<html>", b"\xff", b"[" * 9999,
     b'{"keys":[],"keys":[]}'],
)  # fmt: skip
def test_what_is_no_jwk_set_is_refused(document: bytes) -> None:
    assert why(document) == "malformed"


def test_a_set_without_keys_or_with_too_many_is_refused() -> None:
    assert why(b'{"keys":[]}') == "no_usable_key"
    assert why(key_set(*[RSA.jwk(kid=f"key-{i}") for i in range(51)])) == "too_many_keys"
    assert used(RSA, *[RSA.jwk(kid=f"other-{i}") for i in range(49)])


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["kty", "kid", "alg", "use", "n", "e", "crv", "x", "y", "d", "k"]),
            st.sampled_from(["RSA", "EC", "OKP", "oct", "P-256", "sig", "AQAB", "", "RS256", 1])
            | st.text(max_size=8),
        ),
        max_size=3,
    )
)
@settings(max_examples=150)
def test_no_set_ends_in_another_error(keys: list[dict[str, Any]]) -> None:
    try:
        found = read_key_set(json.dumps({"keys": keys}).encode(), ALGORITHMS)
    except KeysNotRead:
        return
    assert isinstance(found, KeySet)
