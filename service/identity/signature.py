"""Whether a token is signed with a key."""

from typing import Final

from jwt import PyJWTError
from jwt.api_jws import PyJWS

from service.identity.keys import ALGORITHMS, PublicKey

_JWS: Final = PyJWS(algorithms=ALGORITHMS)
"""Knows neither `none` nor shared secrets: no header can ask for them."""


def is_signed(token: str, key: PublicKey, algorithm: str) -> bool:
    """Say whether a token is signed with a key, by an algorithm that is the key's."""
    if algorithm not in key.algorithms:
        return False
    try:
        _JWS.decode_complete(token, key.key, algorithms=[algorithm])
    except (PyJWTError, ValueError):
        return False
    return True
