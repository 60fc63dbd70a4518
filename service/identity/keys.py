"""Public keys that sign tokens. With signature.py the only module that knows the library."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt import PyJWTError
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from service.core.jose import read_object
from service.errors import KeysNotRead

RSA_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
ALGORITHMS: Final = (*RSA_ALGORITHMS, "ES256", "ES384", "EdDSA")
"""All that sign with a private key and are safe; shared secrets are none of them."""
MAX_KEYS: Final = 50
_RSA_BITS: Final = range(2048, 8192 + 1)
_PUBLIC: Final = ("kty", "crv", "n", "e", "x", "y")
"""What is read of a JWK's numbers: a private key in it stays unread."""
_READERS: Final[Mapping[str, Callable[[dict[str, Any]], object]]] = {
    "RSA": RSAAlgorithm.from_jwk,
    "EC": ECAlgorithm.from_jwk,
    "OKP": OKPAlgorithm.from_jwk,
}

Key = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key, and the algorithms that it may be used with."""

    id: str | None
    algorithms: frozenset[str]
    thumbprint: bytes
    """Tells keys apart: SHA-256 of the SubjectPublicKeyInfo."""
    key: Key = field(compare=False)

    @classmethod
    def of(cls, key: object, key_id: str | None, algorithms: Collection[str]) -> Self | None:
        """Return a key for those of the algorithms that it fits; None: for none of them."""
        fitting = _fitting(key) & frozenset(algorithms)
        if not fitting or not isinstance(key, Key):
            return None
        data = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return cls(key_id, fitting, hashlib.sha256(data).digest(), key)

    @property
    def pem(self) -> str:
        """The key in PEM, and nothing of what stood around it where it was read."""
        return self.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of an issuer as of one look at them."""

    _by_use: Mapping[tuple[str | None, str], PublicKey]

    @classmethod
    def of(cls, keys: Collection[PublicKey]) -> Self:
        """Arrange keys by what a token's header names; of two under one name the first counts."""
        by_use: dict[tuple[str | None, str], PublicKey] = {}
        for algorithm in ALGORITHMS:
            fitting = [key for key in keys if algorithm in key.algorithms]
            for key in fitting:
                if key.id is not None:
                    by_use.setdefault((key.id, algorithm), key)
            if len(fitting) == 1:
                by_use[None, algorithm] = fitting[0]
        return cls(by_use)

    def find(self, key_id: str | None, algorithm: str) -> PublicKey | None:
        """Return the key for a token; one that names none has that of its algorithm, if single."""
        return self._by_use.get((key_id, algorithm))

    def holds(self, key: PublicKey, algorithm: str) -> bool:
        """Say whether the issuer still has a key."""
        return self._by_use.get((key.id, algorithm)) == key


def read_key_set(document: bytes, algorithms: Collection[str]) -> KeySet:
    """Read a JWK set (RFC 7517): the keys in it that sign with one of the algorithms.

    Keys of other kinds or uses, such as shared secrets, are passed over.

    Raises:
        KeysNotRead: it is no JWK set, has too many keys, or none that can be used.
    """
    try:
        given = read_object(document).get("keys")
    except ValueError:
        raise KeysNotRead("malformed") from None
    if not isinstance(given, list):
        raise KeysNotRead("malformed")
    if len(given) > MAX_KEYS:
        raise KeysNotRead("too_many_keys")
    keys = [key for key in (_read(one, algorithms) for one in given) if key is not None]
    if not keys:
        raise KeysNotRead("no_usable_key")
    return KeySet.of(keys)


def _read(jwk: object, algorithms: Collection[str]) -> PublicKey | None:
    if not isinstance(jwk, dict) or not _is_for_signatures(jwk):
        return None
    read, key_id, named = _READERS.get(str(jwk.get("kty"))), jwk.get("kid"), jwk.get("alg")
    if read is None or not isinstance(key_id, str | None) or not isinstance(named, str | None):
        return None
    numbers = {name: jwk[name] for name in _PUBLIC if isinstance(jwk.get(name), str)}
    try:
        key = read(numbers)
    except (PyJWTError, ValueError):
        return None
    return PublicKey.of(key, key_id, algorithms if named is None else {*algorithms} & {named})


def _is_for_signatures(jwk: Mapping[str, Any]) -> bool:
    operations = jwk.get("key_ops", ["verify"])
    return jwk.get("use", "sig") == "sig" and (
        isinstance(operations, list) and "verify" in operations
    )


def _fitting(key: object) -> frozenset[str]:
    """Return the algorithms that a key may be used with; none for a key that is weak."""
    match key:
        case RSAPublicKey() if key.key_size in _RSA_BITS:
            return frozenset(RSA_ALGORITHMS)
        case EllipticCurvePublicKey(curve=SECP256R1()):
            return frozenset({"ES256"})
        case EllipticCurvePublicKey(curve=SECP384R1()):
            return frozenset({"ES384"})
        case Ed25519PublicKey():
            return frozenset({"EdDSA"})
    return frozenset()
