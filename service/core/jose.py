"""What a signed token in the compact form says of itself (RFC 7515, RFC 7519); nothing is proved.

It is read more strictly than the RFCs ask: two readers of one token must not read two things.
"""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NoReturn

MAX_TOKEN_BYTES: Final = 8192
MAX_KEY_ID_CHARS: Final = 256
_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
"""Other kinds of tokens, such as those of a logout, prove something else (RFC 8725, 3.11)."""
_REFUSED: Final = frozenset({"crit", "b64", "cty", "enc", "zip"})
"""Headers that change how a token is read: extensions, detached, nested, encrypted, packed."""


class TokenDenial(StrEnum):
    """Why a token proves nothing; the names are metric labels."""

    TOO_LARGE = "token_too_large"
    MALFORMED = "token_malformed"
    BAD_ALGORITHM = "token_bad_algorithm"
    """It is none of those that the issuer signs with, or not the key's."""
    UNKNOWN_KEY = "token_unknown_key"
    KEYS_AWAY = "token_keys_away"
    """The issuer's keys could not be read for too long: the token may be good."""
    BAD_SIGNATURE = "token_bad_signature"
    WRONG_ISSUER = "token_wrong_issuer"
    WRONG_AUDIENCE = "token_wrong_audience"
    EXPIRED = "token_expired"
    NOT_YET_VALID = "token_not_yet_valid"
    TOO_LONG_LIVED = "token_too_long_lived"
    CLAIM_REFUSED = "token_claim_refused"
    """A claim that the settings require is missing or has another value."""
    NOT_MAPPED = "token_not_mapped"
    """Its claims name no project, or several."""
    UNKNOWN_PROJECT = "token_unknown_project"
    """The project that its claims name is not in the store."""


@dataclass(frozen=True, slots=True)
class Unverified:
    """A token's own words, and what is to prove that they are its issuer's."""

    algorithm: str
    key_id: str | None
    claims: Mapping[str, Any]
    signed: bytes
    """What the signature is of: header and claims as they were written."""
    signature: bytes


def read_compact(token: str) -> Unverified | TokenDenial:
    """Read a token of the form `header.claims.signature`.

    Headers that bring a key or an address of keys (`jwk`, `jku`, `x5c`, `x5u`) are not looked at:
    keys come from the issuer alone.
    """
    if len(token) > MAX_TOKEN_BYTES:
        return TokenDenial.TOO_LARGE
    if _COMPACT.fullmatch(token) is None:
        return TokenDenial.MALFORMED
    signed, _, signature = token.rpartition(".")
    header, _, claims = signed.partition(".")
    try:
        return _read(
            read_object(_decoded(header)),
            read_object(_decoded(claims)),
            signed.encode(),
            _decoded(signature),
        )
    except ValueError:
        return TokenDenial.MALFORMED


def _read(
    header: Mapping[str, Any], claims: Mapping[str, Any], signed: bytes, signature: bytes
) -> Unverified | TokenDenial:
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str):
        return TokenDenial.BAD_ALGORITHM
    if not _REFUSED.isdisjoint(header) or not _is_type(header.get("typ", "JWT")):
        return TokenDenial.MALFORMED
    if key_id is not None and not (isinstance(key_id, str) and len(key_id) <= MAX_KEY_ID_CHARS):
        return TokenDenial.MALFORMED
    return Unverified(algorithm, key_id, claims, signed, signature)


def read_object(data: bytes) -> dict[str, Any]:
    """Read a JSON object whose names come once each.

    Raises:
        ValueError: it is none.
    """
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("not an object")  # noqa: TRY004  (bad text, not a bad type of ours)
    return found


def _decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _is_type(given: object) -> bool:
    return isinstance(given, str) and given.lower() in _TYPES


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def _no_number(_: str) -> NoReturn:
    raise ValueError("not a number")
