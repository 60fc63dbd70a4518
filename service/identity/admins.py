"""Administrators who come with a token of an issuer of OpenID Connect."""

import threading
from collections.abc import Callable

from service.core.jose import TokenDenial
from service.core.roles import Admin, Role
from service.identity.verifier import TokenVerifier, looks_like_a_token


class OidcAdmins:
    """Tells administrators by their tokens. Threads may share it: they take turns."""

    def __init__(self, verifier: TokenVerifier, on_denial: Callable[[str], None]) -> None:
        """Trust the issuers that the verifier does, as far as they give roles.

        `on_denial` is told each time why a token made nobody an administrator.
        """
        self._verifier = verifier
        self._on_denial = on_denial
        self._turn = threading.Lock()

    def authenticate(self, bearer: str, now: float) -> Admin | None:
        """Return who shows a token; None: it makes nobody an administrator, or is none."""
        if not looks_like_a_token(bearer):
            return None
        with self._turn:
            found = self._find(bearer, now)
        if isinstance(found, TokenDenial):
            self._on_denial(found)
            return None
        return found

    def _find(self, token: str, now: float) -> Admin | TokenDenial:
        found = self._verifier.verify(token)
        if isinstance(found, TokenDenial):
            return found
        if (denial := found.denial_at(now)) is not None:
            return denial
        identity = found.identity
        if identity.role is None:
            return TokenDenial.NOT_MAPPED
        return Admin(f"oidc:{identity.issuer}/{identity.subject}", Role(identity.role))
