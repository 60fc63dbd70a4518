"""Bearer tokens of the issuers that the settings trust: what each proves.

A token is looked at once: what it proves is remembered by its SHA-256, and with the connection
that repeats it. What changes is asked each time: the clock, and whether the issuer still has the
key.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from service.core.jose import MAX_TOKEN_BYTES, TokenDenial, Unverified, read_compact
from service.core.tokens import Identity, Trust, identify
from service.identity.jwks import IssuerKeys
from service.identity.keys import PublicKey
from service.identity.recent import Recent
from service.identity.signature import is_signed

MAX_REMEMBERED: Final = 10_000
"""Tokens; each takes about a kilobyte."""
_DOTS: Final = 2


def looks_like_a_token(bearer: str) -> bool:
    """Whether it has three parts, as no key of ours has."""
    return bearer.count(".") == _DOTS


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whose tokens are trusted, for what, and the keys that prove them to be the issuer's."""

    trust: Trust
    keys: IssuerKeys


@dataclass(frozen=True, slots=True)
class Verified:
    """What a token proves: it was signed by the issuer, for us; `denial_at` knows until when."""

    identity: Identity
    algorithm: str
    key: PublicKey
    keys: IssuerKeys

    def denial_at(self, now: float) -> TokenDenial | None:
        """Say why the token proves nothing at a time, in Unix seconds; None: it does."""
        return self.identity.denial_at(now) or self.keys.denial_of(self.key, self.algorithm)


class TokenVerifier:
    """Verifies tokens. For one thread; it never waits, and reads nothing."""

    def __init__(self, issuers: Iterable[Issuer], max_remembered: int = MAX_REMEMBERED) -> None:
        """Trust these issuers."""
        self._issuers = {issuer.trust.issuer: issuer for issuer in issuers}
        self._verified: Recent[Verified] = Recent(max_remembered)

    def verify(self, token: str) -> Verified | TokenDenial:
        """Return what a token proves, or why it never will; ask `Verified.denial_at` each time."""
        if len(token) > MAX_TOKEN_BYTES:
            return TokenDenial.TOO_LARGE
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        found: Verified | TokenDenial | None = self._verified.get(digest)
        if found is None:
            found = self._verify(token)
            if isinstance(found, Verified):
                self._verified.put(digest, found)
        return found

    def _verify(self, token: str) -> Verified | TokenDenial:
        said = read_compact(token)
        if isinstance(said, TokenDenial):
            return said
        claimed = said.claims.get("iss")
        issuer = self._issuers.get(claimed) if isinstance(claimed, str) else None
        return TokenDenial.WRONG_ISSUER if issuer is None else _verify_by(issuer, said)


def _verify_by(issuer: Issuer, said: Unverified) -> Verified | TokenDenial:
    if said.algorithm not in issuer.keys.algorithms:
        return TokenDenial.BAD_ALGORITHM
    key = issuer.keys.find(said.key_id, said.algorithm)
    if isinstance(key, TokenDenial):
        return key
    if not is_signed(said, key):
        return TokenDenial.BAD_SIGNATURE
    identity = identify(issuer.trust, said.claims)
    if isinstance(identity, TokenDenial):
        return identity
    return Verified(identity, said.algorithm, key, issuer.keys)
