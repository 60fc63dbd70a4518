"""Who calls: the bearer key of a request, looked up in the snapshot that the process holds."""

from service.core.callers import Caller, Denial, KeyDigester, Snapshot, authenticate
from service.errors import InvalidApiKey
from service.gateway.asgi import Fields
from service.gateway.meters import Meters

_SCHEME = b"bearer "
_WORDS = {
    Denial.UNKNOWN: "The API key is not known.",
    Denial.EXPIRED: "The API key has expired.",
    Denial.REVOKED: "The API key was revoked.",
}


class Authenticator:
    """Holds the snapshot; `snapshot` is replaced whole when the store changes."""

    def __init__(self, pepper: bytes, meters: Meters) -> None:
        """Know nobody yet."""
        self.snapshot = Snapshot(revision=-1, callers={}, loaded_at=0.0)
        self._digest = KeyDigester(pepper)
        self._meters = meters

    def authenticate(self, fields: Fields, now: float) -> Caller:
        """Return whose key the request carries.

        Raises:
            InvalidApiKey: none, or one that proves nothing.
        """
        given = fields.get(b"authorization")
        if given is None:
            raise self._denied("missing", "No API key was given: send 'Authorization: Bearer KEY'.")
        if given[: len(_SCHEME)].lower() != _SCHEME:
            raise self._denied("malformed", "The Authorization header must be 'Bearer KEY'.")
        key = given[len(_SCHEME) :].strip().decode("latin-1")
        found = authenticate(self.snapshot, self._digest(key), now)
        if isinstance(found, Denial):
            raise self._denied(found, _WORDS[found])
        return found

    def _denied(self, reason: str, words: str) -> InvalidApiKey:
        self._meters.auth_failure(reason)
        return InvalidApiKey(words)
