"""Whether a token is signed with a key."""

from collections.abc import Mapping
from typing import Final

from jwt import PyJWTError
from jwt.algorithms import Algorithm, get_default_algorithms

from service.core.jose import Unverified
from service.identity.keys import ALGORITHMS, PublicKey

_ALGORITHMS: Final[Mapping[str, Algorithm]] = {
    name: algorithm for name, algorithm in get_default_algorithms().items() if name in ALGORITHMS
}
"""Neither `none` nor shared secrets: no header can ask for them. The library's `decode` would read
the token a second time, which takes longer than RSA does."""


def is_signed(said: Unverified, key: PublicKey) -> bool:
    """Say whether a token is signed with a key, by an algorithm that is the key's."""
    if said.algorithm not in key.algorithms:
        return False
    algorithm = _ALGORITHMS[said.algorithm]
    try:
        return algorithm.verify(said.signed, algorithm.prepare_key(key.key), said.signature)
    except (PyJWTError, TypeError, ValueError):
        return False
