"""Where the keys of an issuer are: at an address, where its configuration says, or in a file."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.core.jose import read_object
from service.errors import KeysNotRead
from service.identity.fetch import MAX_BYTES, TIMEOUT_S, get, is_private_way

DISCOVERY_PATH: Final = "/.well-known/openid-configuration"
"""OpenID Connect Discovery 1.0, 4."""

Place = Callable[[], bytes]
"""Returns a JWK set, and waits as long as that takes; raises `KeysNotRead`."""


@dataclass(frozen=True, slots=True)
class At:
    """An address; `bearer_file` holds what is shown there, read each time: it may be replaced."""

    url: str
    tls: ssl.SSLContext | None = None
    bearer_file: Path | None = None
    timeout_s: float = TIMEOUT_S

    def __call__(self) -> bytes:
        """Return what is there."""
        return get(self.url, self.tls, self._headers(), self.timeout_s)

    def _headers(self) -> dict[str, str]:
        if self.bearer_file is None:
            return {}
        try:
            bearer = self.bearer_file.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            raise KeysNotRead("no_bearer") from None
        if not bearer.isprintable():
            raise KeysNotRead("no_bearer")
        return {"authorization": f"Bearer {bearer}"}


@dataclass(frozen=True, slots=True)
class Discovered:
    """Wherever the issuer's own configuration says."""

    issuer: str
    tls: ssl.SSLContext | None = None

    def __call__(self) -> bytes:
        """Ask the issuer where its keys are, then return them."""
        said = get(self.issuer.rstrip("/") + DISCOVERY_PATH, self.tls)
        try:
            found = read_object(said)
        except ValueError:
            raise KeysNotRead("malformed") from None
        url = found.get("jwks_uri")
        if found.get("issuer") != self.issuer or not isinstance(url, str):
            raise KeysNotRead("malformed")
        if not is_private_way(url):
            raise KeysNotRead("not_private")
        return get(url, self.tls)


@dataclass(frozen=True, slots=True)
class InFile:
    """A file, which may be replaced."""

    path: Path

    def __call__(self) -> bytes:
        """Return what it holds."""
        try:
            with self.path.open("rb") as file:
                found = file.read(MAX_BYTES + 1)
        except OSError:
            raise KeysNotRead("unreachable") from None
        if len(found) > MAX_BYTES:
            raise KeysNotRead("too_large")
        return found
