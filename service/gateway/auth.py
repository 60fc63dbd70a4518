"""Who calls: the key or token of a request, as of the snapshot that the process holds."""

import hmac
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from service.core.callers import KEY_START, Caller, Denial, KeyDigester, authenticate, caller_in
from service.core.directory import Snapshot
from service.core.jose import TokenDenial
from service.errors import InvalidApiKey, SafeguardInactive
from service.gateway.asgi import Fields
from service.gateway.meters import Meters
from service.identity.verifier import TokenVerifier, Verified, looks_like_a_token
from service.store.redigest import Redigests

_SCHEME = b"bearer "
_MISSING, _MALFORMED = "missing", "malformed"
_NONE = "No API key was given: send 'Authorization: Bearer KEY' or 'x-api-key: KEY'."
_NOBODY = "The safeguard 'authentication' is not active: the store has not been read yet."
_WORDS: Final[dict[Denial | TokenDenial, str]] = {
    Denial.UNKNOWN: "The API key is not known.",
    Denial.EXPIRED: "The API key has expired.",
    Denial.REVOKED: "The API key was revoked.",
    Denial.DISABLED: "The API key's project, or who it belongs to in it, is disabled.",
    TokenDenial.TOO_LARGE: "The token is too large: at most 8 KiB are taken.",
    TokenDenial.MALFORMED: "The token is not a JWT that is taken here.",
    TokenDenial.BAD_ALGORITHM: "The token's 'alg' is none that its issuer signs with.",
    TokenDenial.UNKNOWN_KEY: "The token's key is not one of its issuer's, as far as is known yet.",
    TokenDenial.KEYS_AWAY: (
        "The safeguard 'authentication' is not active: the keys of the token's issuer "
        "cannot be read."
    ),
    TokenDenial.BAD_SIGNATURE: "The token's signature is not good.",
    TokenDenial.WRONG_ISSUER: "The token's issuer is not trusted.",
    TokenDenial.WRONG_AUDIENCE: "The token is meant for another audience.",
    TokenDenial.EXPIRED: "The token has expired.",
    TokenDenial.NOT_YET_VALID: "The token is not valid yet.",
    TokenDenial.TOO_LONG_LIVED: "The token is valid for longer than its issuer's tokens may be.",
    TokenDenial.CLAIM_REFUSED: "A claim of the token is missing, or has a value not taken here.",
    TokenDenial.NOT_MAPPED: "The token's claims name no project, or several.",
    TokenDenial.UNKNOWN_PROJECT: "The token's project is not known.",
}
_UNKNOWN: Final = (None, -math.inf)
_SUBJECT_CHARS: Final = 16
"""Of the 64 hexadecimal digits that stand for a token's subject in records."""


@dataclass(frozen=True, slots=True)
class TokenProof:
    """What a token proved, and the id that its subject has as a key: no personal data."""

    verified: Verified
    key_id: str


Digests = tuple[bytes, ...]
"""Of one key: under the newest pepper first."""
Proof = Digests | TokenProof
"""What is kept of what a request shows: the digests of a key, or what its token proved."""


class Authenticator:
    """Knows who is known; `use` is called with each new snapshot."""

    def __init__(
        self,
        peppers: Sequence[bytes],
        meters: Meters,
        tokens: TokenVerifier | None = None,
    ) -> None:
        """Know nobody yet; without a verifier tokens are keys that nobody knows.

        `peppers` are those that keys may be stored under, the newest first.
        """
        self.snapshot = Snapshot()
        self._callers: dict[Digests, tuple[Caller, float]] = {}
        newest, *previous = peppers
        self.redigests = Redigests(newest)
        self._digest = KeyDigester(newest)
        self._previous = [KeyDigester(older) for older in previous]
        self._meters = meters
        self._tokens = tokens
        of_tokens = TokenDenial if tokens else ()
        meters.declare_auth_failures([_MISSING, _MALFORMED, *Denial, *of_tokens])

    def use(self, snapshot: Snapshot) -> None:
        """Take what a newer snapshot says."""
        self.snapshot = snapshot
        self._callers.clear()

    def digest(self, fields: Fields) -> Proof:
        """Return what is to be kept of the key that a request carries: all but the key.

        Raises:
            InvalidApiKey: it carries none, or a token that proves nothing.
            SafeguardInactive: the keys of its token's issuer are not known, or nothing is so far.
        """
        key = self._key(fields).decode("latin-1")
        if self._tokens and looks_like_a_token(key) and not key.startswith(KEY_START):
            return self._proof(self._tokens, key)
        if self._previous:
            return (self._digest(key), *[digest(key) for digest in self._previous])
        return (self._digest(key),)

    def authenticate(self, proof: Proof, now: float) -> Caller:
        """Return who showed it.

        Raises:
            InvalidApiKey: it proves nothing.
            SafeguardInactive: the keys of its token's issuer are not known any more, or no key is
                known so far.
        """
        found: Caller | Denial | TokenDenial
        if isinstance(proof, TokenProof):
            found = self._caller_by_token(proof, now)
        else:
            found = self._caller_by_key(proof, now)
        if isinstance(found, Denial | TokenDenial):
            if self.snapshot.revision < 0:
                raise SafeguardInactive(_NOBODY)
            raise self._denied(found, _WORDS[found])
        return found

    def _caller_by_key(self, digests: Digests, now: float) -> Caller | Denial:
        """Return whose key it is; whoever was found is remembered until there is news of anyone."""
        caller, expires_at = self._callers.get(digests, _UNKNOWN)
        if caller is not None and now < expires_at:
            return caller
        digest = digests[0] if len(digests) == 1 else self._stored(digests)
        found = authenticate(self.snapshot, digest, now)
        if isinstance(found, Caller) and digest == digests[0]:
            ends_at = self.snapshot.keys[digest].expires_at
            self._callers[digests] = found, math.inf if ends_at is None else ends_at
        return found

    def _stored(self, digests: Digests) -> bytes:
        """Return the digest that is known; one under a previous pepper is to be replaced."""
        newest, *older = digests
        keys = self.snapshot.keys
        if newest not in keys:
            for digest in older:
                if digest in keys:
                    self.redigests.note(digest, newest)
                    return digest
        return newest

    def _proof(self, tokens: TokenVerifier, token: str) -> TokenProof:
        verified = tokens.verify(token)
        if isinstance(verified, TokenDenial):
            raise self._denied(verified, _WORDS[verified])
        if self.snapshot.revision < 0:  # nor is the secret that the subject's id is made with
            raise SafeguardInactive(_NOBODY)
        identity = verified.identity
        named = f"token:{identity.issuer}/{identity.subject}".encode()
        digest = hmac.digest(self.snapshot.end_user_secret, named, "sha256").hex()
        return TokenProof(verified, f"jwt:{identity.issuer}:{digest[:_SUBJECT_CHARS]}")

    def _caller_by_token(self, proof: TokenProof, now: float) -> Caller | Denial | TokenDenial:
        if (denial := proof.verified.denial_at(now)) is not None:
            return denial
        identity = proof.verified.identity
        if identity.project is None:
            return TokenDenial.NOT_MAPPED
        found = caller_in(self.snapshot, proof.key_id, identity.project, identity.entitlements)
        return TokenDenial.UNKNOWN_PROJECT if found is Denial.UNKNOWN else found

    def _key(self, fields: Fields) -> bytes:
        """Return the key, which Anthropic's clients send in a field of its own."""
        given, plain = fields.get(b"authorization"), fields.get(b"x-api-key")
        if given is None:
            if plain is None:
                raise self._denied(_MISSING, _NONE)
            return plain.strip()
        if given[: len(_SCHEME)].lower() != _SCHEME:
            raise self._denied(_MALFORMED, "The Authorization header must be 'Bearer KEY'.")
        key = given[len(_SCHEME) :].strip()
        if plain is not None and plain.strip() != key:
            raise self._denied(_MALFORMED, "Authorization and x-api-key hold different keys.")
        return key

    def _denied(self, reason: str, words: str) -> InvalidApiKey | SafeguardInactive:
        self._meters.auth_failure(reason)
        away = reason == TokenDenial.KEYS_AWAY
        return SafeguardInactive(words) if away else InvalidApiKey(words)
