"""Which tokens prove something: every attack that is known on tokens, and good ones."""

import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.jose import TokenDenial
from service.identity.verifier import Issuer, TokenVerifier, Verified, looks_like_a_token
from tests.real_parts.jwks import SigningKey, base64url, forged, signing_key
from tests.unit.service.identity.issuers import NOW, TRUST, Shelf, claims, issuer_with, keys_of

RSA, EC, ED = signing_key("RS256"), signing_key("ES256", "key-ec"), signing_key("EdDSA", "key-ed")
STRANGER = signing_key("RS256", "stranger")


def verifier(*keys: SigningKey, **more: Any) -> TokenVerifier:  # noqa: ANN401  (fields of Trust)
    return TokenVerifier([issuer_with(*(keys or (RSA, EC, ED)), **more)])


def denied(token: str, by: TokenVerifier | None = None, now: float = NOW) -> TokenDenial | None:
    found = (by or verifier()).verify(token)
    return found if isinstance(found, TokenDenial) else found.denial_at(now)


@pytest.mark.parametrize(
    "algorithm",
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"],
)
def test_a_token_of_each_algorithm_proves_who_it_is_about(algorithm: str) -> None:
    key = signing_key(algorithm)
    found = verifier(key).verify(key.sign(claims()))
    assert isinstance(found, Verified)
    assert found.denial_at(NOW) is None
    assert (found.identity.subject, found.identity.project) == ("alice", "search")


def test_what_a_token_proves_is_remembered_and_its_time_is_asked_again() -> None:
    by, token = verifier(), RSA.sign(claims())
    first = by.verify(token)
    assert by.verify(token) is first
    assert denied(token, by, NOW + 629) is None
    assert denied(token, by, NOW + 630) is TokenDenial.EXPIRED
    assert denied(RSA.sign(claims(nbf=NOW + 31)), by) is TokenDenial.NOT_YET_VALID


def test_only_so_many_tokens_are_remembered() -> None:
    by = TokenVerifier([issuer_with(ED)], max_remembered=2)
    tokens = [ED.sign(claims(sub=f"user-{i}")) for i in range(3)]
    first, second = by.verify(tokens[0]), by.verify(tokens[1])
    assert by.verify(tokens[0]) is first
    by.verify(tokens[2])
    assert by.verify(tokens[0]) is first
    assert by.verify(tokens[1]) is not second


def test_a_key_that_its_issuer_gave_up_proves_nothing_any_more() -> None:
    shelf = Shelf(RSA)
    keys = keys_of(shelf)
    keys.refresh()
    by, token = TokenVerifier([Issuer(TRUST, keys)]), RSA.sign(claims())
    assert denied(token, by) is None
    shelf.put(EC)
    keys.refresh()
    assert denied(token, by) is TokenDenial.UNKNOWN_KEY


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", " none", "none\x00"])
@pytest.mark.parametrize("signature", [b"", b"x"])
def test_a_token_without_a_signature_is_refused(name: str, signature: bytes) -> None:
    token = forged({"alg": name, "kid": "key-1"}, claims(), signature)
    assert denied(token) in {TokenDenial.BAD_ALGORITHM, TokenDenial.MALFORMED}
    assert denied(token + "eA") is TokenDenial.BAD_ALGORITHM


@pytest.mark.parametrize("name", ["HS256", "HS384", "HS512", "hs256"])
def test_a_public_key_is_no_shared_secret(name: str) -> None:
    digest = {"HS384": "sha384", "HS512": "sha512"}.get(name, "sha256")
    header = base64url(json.dumps({"alg": name, "kid": "key-1"}).encode())
    signed = f"{header}.{base64url(json.dumps(claims()).encode())}"
    for secret in (RSA.pem, RSA.pem.strip(), json.dumps(RSA.jwk()), RSA.jwk()["n"], ""):
        mac = hmac.digest(secret.encode(), signed.encode(), digest)
        assert denied(f"{signed}.{base64url(mac)}") is TokenDenial.BAD_ALGORITHM


def test_a_shared_secret_among_an_issuers_keys_is_none() -> None:
    secret = {"kty": "oct", "k": base64url(b"secret" * 8), "kid": "key-1", "alg": "RS256"}
    by = TokenVerifier([issuer_with(secret, EC)])
    assert denied(RSA.sign(claims()), by) is TokenDenial.UNKNOWN_KEY


def test_an_algorithm_that_is_not_pinned_is_refused_though_the_key_fits() -> None:
    by = TokenVerifier([issuer_with(RSA.jwk(alg=None), EC, algorithms=["RS256"])])
    assert denied(RSA.sign(claims()), by) is None
    weaker = SigningKey("key-1", "RS512", RSA.private)
    assert denied(weaker.sign(claims()), by) is TokenDenial.BAD_ALGORITHM
    assert denied(EC.sign(claims()), by) is TokenDenial.BAD_ALGORITHM


@pytest.mark.parametrize(("named", "signs"), [("RS256", EC), ("ES256", RSA), ("EdDSA", RSA)])
def test_an_algorithm_of_another_type_of_key_is_refused(named: str, signs: SigningKey) -> None:
    header, body, signature = signs.sign(claims()).split(".")
    header = base64url(json.dumps({"alg": named, "kid": signs.id}).encode())
    assert denied(f"{header}.{body}.{signature}") is TokenDenial.UNKNOWN_KEY


def test_a_signature_of_a_stranger_under_a_known_name_is_refused() -> None:
    assert denied(STRANGER.sign(claims(), kid="key-1")) is TokenDenial.BAD_SIGNATURE


def test_claims_that_were_changed_are_refused() -> None:
    header, _, signature = RSA.sign(claims()).split(".")
    changed = base64url(json.dumps(claims(sub="root")).encode())
    assert denied(f"{header}.{changed}.{signature}") is TokenDenial.BAD_SIGNATURE


def test_a_key_that_a_token_brings_itself_proves_nothing() -> None:
    brought = STRANGER.jwk(kid="key-1")
    token = STRANGER.sign(claims(), kid="key-1", jwk=brought, x5c=["MIIB"])
    assert denied(token) is TokenDenial.BAD_SIGNATURE
    elsewhere = STRANGER.sign(claims(), jku="http://127.0.0.1:1/keys", jwk=brought)
    assert denied(elsewhere) is TokenDenial.UNKNOWN_KEY


@pytest.mark.parametrize(
    "key_id",
    ["../../../dev/null", "/etc/passwd", "key-1\x00", "' OR '1'='1", "key-1' UNION SELECT 'a",
     "", " key-1", "KEY-1", "http://127.0.0.1/keys", "${jndi:ldap://a}", "k" * 256],
)  # fmt: skip
def test_a_name_of_a_key_is_looked_up_and_nothing_else(key_id: str) -> None:
    token = forged({"alg": "RS256", "kid": key_id}, claims())
    assert denied(token) is TokenDenial.UNKNOWN_KEY


def test_a_token_without_the_name_of_a_key_needs_an_issuer_with_one_key() -> None:
    token = RSA.sign(claims(), kid=None)
    assert denied(token, verifier(RSA, EC)) is None
    assert denied(token, verifier(RSA, STRANGER)) is TokenDenial.UNKNOWN_KEY
    assert denied(token, verifier(STRANGER)) is TokenDenial.BAD_SIGNATURE


def test_one_issuers_keys_do_not_sign_for_another() -> None:
    other = issuer_with(STRANGER, name="other", issuer="https://other.example.org")
    by = TokenVerifier([issuer_with(RSA), other])
    assert denied(STRANGER.sign(claims(iss="https://other.example.org")), by) is None
    assert denied(STRANGER.sign(claims()), by) is TokenDenial.UNKNOWN_KEY
    assert denied(STRANGER.sign(claims(), kid="key-1"), by) is TokenDenial.BAD_SIGNATURE
    stolen = RSA.sign(claims(iss="https://other.example.org"), kid="stranger")
    assert denied(stolen, by) is TokenDenial.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"iss": "https://evil.example.org"}, TokenDenial.WRONG_ISSUER),
        ({"iss": None}, TokenDenial.WRONG_ISSUER),
        ({"iss": [TRUST.issuer]}, TokenDenial.WRONG_ISSUER),
        ({"aud": "others"}, TokenDenial.WRONG_AUDIENCE),
        ({"aud": None}, TokenDenial.WRONG_AUDIENCE),
        ({"exp": NOW - 31}, TokenDenial.EXPIRED),
        ({"exp": NOW - 30}, TokenDenial.EXPIRED),
        ({"exp": NOW - 29}, None),
        ({"nbf": NOW + 31}, TokenDenial.NOT_YET_VALID),
        ({"nbf": NOW + 30}, None),
        ({"iat": NOW + 31}, TokenDenial.NOT_YET_VALID),
        ({"exp": NOW + 85801}, TokenDenial.TOO_LONG_LIVED),
        ({"exp": None}, TokenDenial.MALFORMED),
        ({"sub": None}, TokenDenial.MALFORMED),
        ({"aud": ["others", "models"]}, None),
    ],
)
def test_a_well_signed_token_is_refused_for_what_it_says(
    more: dict[str, Any], reason: TokenDenial | None
) -> None:
    said = {**claims(iat=NOW - 600 if "exp" in more else NOW), **more}
    token = _signed_as_it_is({name: value for name, value in said.items() if value is not None})
    assert denied(token) is reason


def test_a_nested_token_is_refused() -> None:
    inner = RSA.sign(claims())
    assert denied(RSA.sign({"x": inner}, cty="JWT")) is TokenDenial.MALFORMED
    header = base64url(b'{"alg":"RS256","kid":"key-1"}')
    signed = f"{header}.{base64url(inner.encode())}"
    assert denied(f"{signed}.c2ln") is TokenDenial.MALFORMED


def test_extensions_are_refused_though_the_signature_is_good() -> None:
    assert denied(RSA.sign(claims(), crit=["exp"], exp=1)) is TokenDenial.MALFORMED
    assert denied(RSA.sign(claims(), typ="secevent+jwt")) is TokenDenial.MALFORMED


def test_a_token_over_8_kib_is_refused_before_any_work() -> None:
    assert denied(RSA.sign(claims(pad="x" * 8192))) is TokenDenial.TOO_LARGE


@pytest.mark.parametrize("text", ["", "a", "a.b", "a.b.c.d", "a.b.c.d.e"])
def test_what_has_not_three_parts_is_no_token(text: str) -> None:
    assert not looks_like_a_token(text)


@given(st.binary(max_size=64), st.binary(max_size=64), st.binary(max_size=64))
@settings(max_examples=100)
def test_no_bytes_prove_anything_or_end_in_another_error(a: bytes, b: bytes, c: bytes) -> None:
    by = verifier()
    assert isinstance(by.verify(forged(a, b, c)), TokenDenial)
    good = forged({"alg": "ES256", "kid": "key-ec"}, claims(), c)
    assert isinstance(by.verify(good), TokenDenial)


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=254))
@settings(max_examples=100)
def test_no_token_with_one_character_changed_proves_anything(at: int, by_how_much: int) -> None:
    token = ED.sign(claims())
    place = at % len(token)
    changed = token[:place] + chr((ord(token[place]) + 1 + by_how_much) % 256) + token[place + 1 :]
    found = verifier().verify(changed)
    if isinstance(found, Verified):  # the last character has four bits that say nothing
        assert place == len(token) - 1


def _signed_as_it_is(said: dict[str, Any]) -> str:
    """Sign claims that the library would not write."""
    assert isinstance(ED.private, Ed25519PrivateKey)
    header = base64url(b'{"alg":"EdDSA","kid":"key-ed"}')
    signed = f"{header}.{base64url(json.dumps(said).encode())}"
    return f"{signed}.{base64url(ED.private.sign(signed.encode()))}"
