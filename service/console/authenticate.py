"""Admin tokens as they are shown: looked up by their digest."""

from collections.abc import Sequence
from typing import Final

from service.core.admin_tokens import digest_token, is_token
from service.core.roles import Admin
from service.store import Store
from service.store.admin_tokens import find_digested, is_use_due, note_use
from service.store.pepper import pepper_id
from service.store.redigest import redigest
from service.store.tables import admin_tokens

ACTOR_START: Final = "token:"


class TokenAuthenticator:
    """Knows administrators by admin tokens.

    The digests are looked up by an index: without the pepper nobody can choose a digest, so the
    time that takes tells nothing.
    """

    def __init__(self, store: Store, peppers: Sequence[bytes]) -> None:
        """Look tokens up under these peppers."""
        self._store = store
        self._peppers = peppers

    def authenticate(self, bearer: str, now: float) -> Admin | None:
        """Return whose token this is; None: it is none, or it is revoked or has expired."""
        if not is_token(bearer):
            return None
        digests = [digest_token(pepper, bearer) for pepper in self._peppers]
        with self._store.read() as connection:
            found = find_digested(connection, digests)
        if found is None or not found.is_good_at(now):
            return None
        if is_use_due(found, now):
            with self._store.begin() as connection:
                note_use(connection, found.id, now)
            self._redigest(digests)
        return Admin(ACTOR_START + found.id, found.role)

    def _redigest(self, digests: Sequence[bytes]) -> None:
        """Store a token that is under a previous pepper under the newest, if that is in use."""
        newest, *previous = digests
        if previous:
            anew = dict.fromkeys(previous, newest)
            redigest(self._store, anew, pepper_id(self._peppers[0]), admin_tokens)
