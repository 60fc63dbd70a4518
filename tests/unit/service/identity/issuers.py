"""Issuers whose keys the test holds in its hand."""

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, Final

from service.core.tokens import Trust
from service.identity.jwks import IssuerKeys, Pace
from service.identity.keys import ALGORITHMS
from service.identity.verifier import Issuer
from tests.real_parts.jwks import SigningKey, key_set

NOW: Final = 1_800_000_000
TRUST: Final = Trust(
    name="corp",
    issuer="https://issuer.example.org",
    audiences=frozenset({"models"}),
    project=("team",),
    projects={"search-team": "search"},
    role=("roles",),
    roles={"wg-admin": "admin", "wg-view": "viewer"},
)


def claims(**more: object) -> dict[str, Any]:
    """Return claims of a good token; those that are None are left out."""
    given = {"iss": TRUST.issuer, "aud": "models", "sub": "alice", "iat": NOW, "exp": NOW + 600,
             "team": "search-team", **more}  # fmt: skip
    return {name: value for name, value in given.items() if value is not None}


class Shelf:
    """Where the keys lie that an issuer shows."""

    def __init__(self, *keys: SigningKey | dict[str, Any]) -> None:
        self.document: bytes | Exception = key_set(*keys)
        self.asked = 0

    def put(self, *keys: SigningKey | dict[str, Any]) -> None:
        self.document = key_set(*keys)

    def __call__(self) -> bytes:
        self.asked += 1
        if isinstance(self.document, Exception):
            raise self.document
        return self.document


def keys_of(
    place: Callable[[], bytes],
    algorithms: Collection[str] = ALGORITHMS,
    *,
    pace: Pace | None = None,
    outcomes: list[str] | None = None,
    ticks: Callable[[], float] = lambda: 0.0,
) -> IssuerKeys:
    """Return keys that no thread looks at."""
    told = [] if outcomes is None else outcomes
    return IssuerKeys(
        "corp", place, algorithms, pace=pace or Pace(), on_refresh=told.append, ticks=ticks
    )


def issuer_with(
    *keys: SigningKey | dict[str, Any],
    algorithms: Collection[str] = ALGORITHMS,
    **more: Any,  # noqa: ANN401  (fields of Trust)
) -> Issuer:
    """Return an issuer whose keys were read."""
    found = keys_of(Shelf(*keys), algorithms)
    assert found.refresh()
    return Issuer(replace(TRUST, **more), found)
