"""On whose behalf a caller calls: the end user's account, within the project's."""

from collections.abc import Callable
from typing import Final

from service.core.access import EndUserProof
from service.core.callers import Caller
from service.core.directory import Snapshot
from service.core.end_users import end_user_account
from service.core.jose import TokenDenial
from service.core.surfaces.asks import end_user_of
from service.core.surfaces.shape import Request, Surface
from service.errors import InvalidRequest, RateLimitExceeded
from service.gateway.asgi import Fields
from service.identity.verifier import looks_like_a_token
from service.telemetry.tally import CounterTally

HEADER: Final = b"openai-safety-identifier"
_HOUR_S: Final = 3600.0
_JSON_START: Final = "eyJ"
"""What base64url makes of `{"`: a JWT's header is a JSON object."""
_MAX_REMEMBERED: Final = 100_000
_MAX_SEEN: Final = 1_000_000

Verify = Callable[[str, str, str, float], str | TokenDenial]
"""(token, public key in PEM, project, now) → the end user that a project signed for, or why it did
not."""


class EndUsers:
    """Tells end users apart; `use` is called with each new snapshot."""

    def __init__(self, new: "NewEndUsers", verify: Verify) -> None:
        """Know nobody yet."""
        self._new = new
        self._verify = verify
        self._snapshot = Snapshot()
        self._accounts: dict[tuple[str, str], str] = {}

    def use(self, snapshot: Snapshot) -> None:
        """Take what a newer snapshot says."""
        self._snapshot = snapshot
        self._accounts.clear()

    def identify(
        self, caller: Caller, request: Request, surface: Surface, head: Fields, now: float
    ) -> tuple[Caller, EndUserProof | None]:
        """Return the caller as the account that it calls for, and how it told; now in Unix seconds.

        Raises:
            InvalidRequest: the id is no text, empty, too long, or signed in vain.
            RateLimitExceeded: the key has brought too many new ids within the hour.
        """
        given = end_user_of(request.fields, surface, head.get(HEADER))
        if given is None:
            return caller, None
        signed = self._signed(caller, given, now)
        account = self._account(caller.project, signed or given)
        self._new.note(caller.key_id, account, now)
        return caller.of_account(account), "signed" if signed else "named"

    def _signed(self, caller: Caller, given: str, now: float) -> str | None:
        """Return whom the project signed for; None: the id is a plain one.

        Raises:
            InvalidRequest: it is signed, and the signature proves nothing: as a plain id each
                such token would be another end user.
        """
        project = self._snapshot.projects.get(caller.project)
        key = project and project.end_user_key
        if not key or not given.startswith(_JSON_START) or not looks_like_a_token(given):
            return None
        found = self._verify(given, key, caller.project, now)
        if isinstance(found, TokenDenial):
            raise InvalidRequest(f"The signed id of the end user proves nothing: {found}.")
        return found

    def _account(self, project: str, end_user: str) -> str:
        account = self._accounts.get((project, end_user))
        if account is None:
            if len(self._accounts) >= _MAX_REMEMBERED:
                self._accounts.clear()
            account = end_user_account(self._snapshot.end_user_secret, project, end_user)
            self._accounts[project, end_user] = account
        return account


class NewEndUsers:
    """Caps how many ids of end users a key may bring that it has not brought before.

    An id is the caller's word: one who makes up a new one for each request would be judged anew
    each time. New is what was seen neither within this hour nor within the one before.
    """

    def __init__(self, limit: int, limited: CounterTally) -> None:
        """Let each key bring `limit` new ids an hour."""
        self._limit = limit
        self._limited = limited
        self._hour = 0
        self._seen: set[tuple[str, str]] = set()
        self._before: set[tuple[str, str]] = set()
        self._new: dict[str, int] = {}

    def note(self, key_id: str, account: str, now: float) -> None:
        """Note an id; now in Unix seconds.

        Raises:
            RateLimitExceeded: it is new, and one too many.
        """
        hour = max(self._hour, int(now // _HOUR_S))  # a body that is slow comes from an hour before
        if hour != self._hour:
            self._new.clear()
        if hour != self._hour or len(self._seen) >= _MAX_SEEN:
            self._turn(hour)
        this = (key_id, account)
        if this in self._seen:
            return
        if this not in self._before:
            self._count(key_id)
        self._seen.add(this)

    def _count(self, key_id: str) -> None:
        count = self._new.get(key_id, 0)
        if count >= self._limit:
            self._limited.total += 1
            raise RateLimitExceeded(
                f"The key has brought {count} new end users within the hour, which is its limit."
            )
        self._new[key_id] = count + 1

    def _turn(self, hour: int) -> None:
        """Forget what was seen before the last hour, or sooner where there is too much of it."""
        self._before = self._seen if hour - self._hour <= 1 else set()
        self._seen = set()
        self._hour = hour
