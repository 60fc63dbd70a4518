"""Ids of end users that a project signs: a short token by the caller, not by an issuer."""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from service.core.jose import MAX_TOKEN_BYTES, TokenDenial, read_compact
from service.core.tokens import is_subject, validity_of
from service.identity.keys import PublicKey
from service.identity.recent import Recent
from service.identity.signature import is_signed

AUDIENCE: Final = "watchgate"
MAX_AGE_S: Final = 3600.0
LEEWAY_S: Final = 30.0
ALGORITHMS: Final = ("EdDSA", "ES256", "RS256")
"""One for each kind of key."""
MAX_REMEMBERED: Final = 10_000
_MAX_PROJECTS: Final = 10_000
_MAX_PEM_CHARS: Final = 8192


@dataclass(frozen=True, slots=True)
class _Signed:
    end_user: str
    valid_from: float
    valid_until: float

    def at(self, now: float) -> str | TokenDenial:
        if now >= self.valid_until:
            return TokenDenial.EXPIRED
        return TokenDenial.NOT_YET_VALID if now < self.valid_from else self.end_user


def read_public_key(pem: str) -> PublicKey:
    """Read the public key that a project signs ids of its end users with.

    Raises:
        ValueError: it is none that could; the words say what would be right.
    """
    try:
        if len(pem) > _MAX_PEM_CHARS:
            raise ValueError
        key = PublicKey.of(load_pem_public_key(pem.encode()), None, ALGORITHMS)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if key is None:
        raise ValueError(
            "expected a public key in PEM ('-----BEGIN PUBLIC KEY-----'): Ed25519, EC P-256, or "
            "RSA of 2048 to 8192 bits"
        )
    return key


class EndUserVerifier:
    """Verifies signed ids, and remembers the keys and the ids. For one thread."""

    def __init__(self) -> None:
        """Know none yet."""
        self._keys: Recent[PublicKey] = Recent(_MAX_PROJECTS)
        self._signed: Recent[_Signed] = Recent(MAX_REMEMBERED)

    def verify(
        self, token: str, public_key_pem: str, project: str, now: float
    ) -> str | TokenDenial:
        """Return the id that a project has signed, or why it proves nothing.

        The token is a JWT: `sub` is the id, `aud` "watchgate", `iat` and `exp` at most an hour
        apart; where it has a claim `project`, that must be the caller's. `now` in Unix seconds.
        """
        if len(token) > MAX_TOKEN_BYTES:
            return TokenDenial.TOO_LARGE
        digest = _digest(public_key_pem, project, token)
        found: _Signed | TokenDenial | None = self._signed.get(digest)
        if found is None:
            found = self._verify(token, public_key_pem, project)
            if isinstance(found, _Signed):
                self._signed.put(digest, found)
        return found if isinstance(found, TokenDenial) else found.at(now)

    def _verify(self, token: str, pem: str, project: str) -> _Signed | TokenDenial:
        said = read_compact(token)
        if isinstance(said, TokenDenial):
            return said
        key = self._key(pem)
        if key is None:
            return TokenDenial.UNKNOWN_KEY
        if said.algorithm not in key.algorithms:
            return TokenDenial.BAD_ALGORITHM
        if not is_signed(said, key):
            return TokenDenial.BAD_SIGNATURE
        return _read(said.claims, project)

    def _key(self, pem: str) -> PublicKey | None:
        digest = _digest(pem)
        key = self._keys.get(digest)
        if key is None:
            try:
                key = read_public_key(pem)
            except ValueError:
                return None
            self._keys.put(digest, key)
        return key


def _read(claims: Any, project: str) -> _Signed | TokenDenial:  # noqa: ANN401  (a JSON object)
    if claims.get("aud") not in (AUDIENCE, [AUDIENCE]):
        return TokenDenial.WRONG_AUDIENCE
    if claims.get("project", project) != project:
        return TokenDenial.CLAIM_REFUSED
    validity, subject = validity_of(claims, LEEWAY_S, MAX_AGE_S), claims.get("sub")
    if isinstance(validity, TokenDenial):
        return validity
    return _Signed(subject, *validity) if is_subject(subject) else TokenDenial.MALFORMED


def _digest(*parts: str) -> bytes:
    state = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "replace")
        state.update(b"%d:" % len(data))
        state.update(data)
    return state.digest()
