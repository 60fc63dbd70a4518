"""Whether a token is signed with a key: also where everything before has failed to look."""

from dataclasses import replace

import pytest

from service.core.jose import Unverified, read_compact
from service.identity.keys import ALGORITHMS, PublicKey
from service.identity.signature import is_signed
from tests.real_parts.jwks import SigningKey, signing_key

KEYS = [signing_key(name) for name in ("RS256", "PS256", "ES256", "ES384", "EdDSA")]


def said_by(key: SigningKey) -> Unverified:
    said = read_compact(key.sign({"sub": "alice"}))
    assert isinstance(said, Unverified)
    return said


def public(key: SigningKey) -> PublicKey:
    found = PublicKey.of(key.private.public_key(), key.id, ALGORITHMS)
    assert found is not None
    return found


@pytest.mark.parametrize("signs", KEYS, ids=lambda key: key.algorithm)
@pytest.mark.parametrize("shown", KEYS, ids=lambda key: key.algorithm)
def test_only_the_key_that_signed_a_token_proves_it(signs: SigningKey, shown: SigningKey) -> None:
    said, key = said_by(signs), public(shown)
    assert is_signed(said, key) == (signs is shown)
    mislabelled = replace(key, algorithms=frozenset(ALGORITHMS))
    assert is_signed(said, mislabelled) == (signs is shown)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.algorithm)
@pytest.mark.parametrize("signature", [b"", b"\x00", b"\x00" * 64, b"\xff" * 256, b"\x00" * 9999])
def test_bytes_that_are_no_signature_prove_nothing(key: SigningKey, signature: bytes) -> None:
    assert not is_signed(replace(said_by(key), signature=signature), public(key))


@pytest.mark.parametrize("name", ["none", "HS256", "HS384", "HS512", "ES256K", "ES512", ""])
def test_other_algorithms_are_not_even_known(name: str) -> None:
    key = KEYS[0]
    assert not is_signed(replace(said_by(key), algorithm=name), public(key))
