"""Who calls: the key of a request, looked up in the snapshot that the process holds."""

from service.core.callers import Caller, Denial, KeyDigester, authenticate
from service.core.directory import Snapshot
from service.errors import InvalidApiKey, SafeguardInactive
from service.gateway.asgi import Fields
from service.gateway.meters import Meters

_SCHEME = b"bearer "
_NONE = "No API key was given: send 'Authorization: Bearer KEY' or 'x-api-key: KEY'."
_NOBODY = "The safeguard 'authentication' is not active: the store has not been read yet."
_WORDS = {
    Denial.UNKNOWN: "The API key is not known.",
    Denial.EXPIRED: "The API key has expired.",
    Denial.REVOKED: "The API key was revoked.",
    Denial.DISABLED: "The API key's project, or who it belongs to in it, is disabled.",
}


class Authenticator:
    """Holds the snapshot; `snapshot` is replaced whole when the store changes."""

    def __init__(self, pepper: bytes, meters: Meters) -> None:
        """Know nobody yet."""
        self.snapshot = Snapshot()
        self._digest = KeyDigester(pepper)
        self._meters = meters

    def digest(self, fields: Fields) -> bytes:
        """Return the digest of the key that a request carries: all that is to be kept of it.

        Raises:
            InvalidApiKey: it carries none.
        """
        return self._digest(self._key(fields).decode("latin-1"))

    def authenticate(self, digest: bytes, now: float) -> Caller:
        """Return whose key has this digest.

        Raises:
            InvalidApiKey: it proves nothing.
            SafeguardInactive: no key is known so far.
        """
        found = authenticate(self.snapshot, digest, now)
        if isinstance(found, Denial):
            if self.snapshot.revision < 0:
                raise SafeguardInactive(_NOBODY)
            raise self._denied(found, _WORDS[found])
        return found

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
