"""Who calls: the key of a request, looked up in the snapshot that the process holds."""

from collections.abc import Sequence

from service.core.callers import Caller, Denial, KeyDigester, authenticate
from service.core.directory import Snapshot
from service.errors import InvalidApiKey
from service.gateway.asgi import Fields
from service.gateway.meters import Meters
from service.store.redigest import Redigests

Digests = tuple[bytes, ...]
"""Of one key: under the newest pepper first."""

_SCHEME = b"bearer "
_NONE = "No API key was given: send 'Authorization: Bearer KEY' or 'x-api-key: KEY'."
_WORDS = {
    Denial.UNKNOWN: "The API key is not known.",
    Denial.EXPIRED: "The API key has expired.",
    Denial.REVOKED: "The API key was revoked.",
    Denial.DISABLED: "The API key's project, or who it belongs to in it, is disabled.",
}


class Authenticator:
    """Holds the snapshot; `snapshot` is replaced whole when the store changes."""

    def __init__(self, pepper: bytes, meters: Meters, previous: Sequence[bytes] = ()) -> None:
        """Know nobody yet. `previous` are peppers that keys may still be stored under."""
        self.snapshot = Snapshot()
        self.redigests = Redigests(pepper)
        self._digest = KeyDigester(pepper)
        self._previous = [KeyDigester(older) for older in previous]
        self._meters = meters

    def digest(self, fields: Fields) -> Digests:
        """Return the digests of the key that a request carries: all that is to be kept of it.

        Raises:
            InvalidApiKey: it carries none.
        """
        key = self._key(fields).decode("latin-1")
        if self._previous:
            return (self._digest(key), *[digest(key) for digest in self._previous])
        return (self._digest(key),)

    def authenticate(self, digests: Digests, now: float) -> Caller:
        """Return whose key has these digests.

        Raises:
            InvalidApiKey: it proves nothing.
        """
        digest = digests[0] if len(digests) == 1 else self._stored(digests)
        found = authenticate(self.snapshot, digest, now)
        if isinstance(found, Denial):
            raise self._denied(found, _WORDS[found])
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

    def _key(self, fields: Fields) -> bytes:
        """Return the key, which Anthropic's clients send in a field of its own."""
        given, plain = fields.get(b"authorization"), fields.get(b"x-api-key")
        if given is None:
            if plain is None:
                raise self._denied("missing", _NONE)
            return plain.strip()
        if given[: len(_SCHEME)].lower() != _SCHEME:
            raise self._denied("malformed", "The Authorization header must be 'Bearer KEY'.")
        key = given[len(_SCHEME) :].strip()
        if plain is not None and plain.strip() != key:
            raise self._denied("malformed", "Authorization and x-api-key hold different keys.")
        return key

    def _denied(self, reason: str, words: str) -> InvalidApiKey:
        self._meters.auth_failure(reason)
        return InvalidApiKey(words)
