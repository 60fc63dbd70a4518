"""Every exception that Watchgate raises on purpose.

    WatchgateError
    ├── ConfigError            the settings are wrong: a line a mistake, with the key's path
    ├── CannotListen           an address is taken, or not of this machine
    ├── AlreadyRunning         another process holds what only one may
    ├── StoreUnavailable       the store's database cannot be used now
    ├── EventLogError
    │   ├── JournalFull        no room to keep another exchange: refuse it
    │   ├── JournalBroken      a write or sync failed: nothing more is promised
    │   ├── SegmentDamaged     a file of the journal does not hold what was written to it
    │   ├── BadRecord          a record that cannot be read: goes to the dead letters
    │   └── ShipFailed         Kafka did not acknowledge all records: send them again
    ├── KeysNotRead            the keys that an issuer's tokens are signed with
    ├── AdminRefusal           what the admin API does not do; console/problems.py knows the status
    │   ├── NotThere
    │   ├── Conflict
    │   ├── Unacceptable
    │   └── NotPermitted
    ├── ArtefactError          a detector's files are missing, altered or too new
    ├── PepperRefused          a pepper cannot be switched to, or retired, as things are
    ├── BackupError            a backup cannot be written, or not be restored here
    ├── Refusal                a request that is not served; gateway/problems.py knows the status
    │   ├── InvalidApiKey
    │   ├── AccountSuspended
    │   ├── AddressNotAllowed
    │   ├── ModelNotAllowed
    │   ├── SurfaceNotAllowed
    │   ├── ModelNotFound
    │   ├── NotFound
    │   ├── MethodNotAllowed
    │   ├── InvalidRequest
    │   ├── RequestTooLarge
    │   ├── RequestTimeout
    │   ├── LimitReached
    │   │   ├── RateLimitExceeded
    │   │   └── BudgetExceeded
    │   ├── TooManyConnections
    │   ├── SafeguardInactive
    │   └── PromptBlocked
    ├── UpstreamError          vLLM did not do its part
    │   ├── UpstreamUnavailable
    │   ├── UpstreamTimeout
    │   └── UpstreamBroke      in the middle of an answer
    ├── ClientGone             the caller hung up
    └── Interrupted            the gateway stops before the answer is complete

No message ever holds the text of a prompt or of an answer.
"""

from collections.abc import Sequence
from typing import Literal


class WatchgateError(Exception):
    """The root: catch this to catch whatever Watchgate raises on purpose."""


class ConfigError(WatchgateError):
    """Settings are wrong; each line of the message starts with the path of a key."""


class CannotListen(WatchgateError):
    """An address is taken, or not of this machine; the message starts with the setting's path."""


class AlreadyRunning(WatchgateError):
    """Another process holds what only one may; the message names it."""


class StoreUnavailable(WatchgateError):
    """The store's database is away, or refuses to be used; the message says why."""


class EventLogError(WatchgateError):
    """The event log could not do what was asked."""


class JournalFull(EventLogError):
    """The queue, the journal's size limit or the disk leaves no room for a new exchange."""


class JournalBroken(EventLogError):
    """A write or a sync failed in a way that leaves durability unknown."""


class SegmentDamaged(EventLogError):
    """A file of the journal does not hold what was written to it."""


BadRecordReason = Literal["undecodable", "version", "not_an_exchange", "not_a_verdict"]
KeysFault = Literal[
    "no_bearer",
    "malformed",
    "not_private",
    "unreachable",
    "timeout",
    "too_large",
    "bad_status",
    "too_many_keys",
    "no_usable_key",
]


class BadRecord(EventLogError):
    """A record cannot be decoded or handled; `reason` comes from a closed set."""

    def __init__(self, reason: BadRecordReason, detail: str = "") -> None:
        """Keep the reason, which is a metric label, apart from the detail."""
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class ShipFailed(EventLogError):
    """Kafka did not acknowledge every record of a batch; `reason` is the error's class name."""

    def __init__(self, reason: str) -> None:
        """Keep the reason, which is a metric label, and nothing of what was to be sent."""
        super().__init__(f"Kafka did not acknowledge the records: {reason}")
        self.reason = reason


class KeysNotRead(WatchgateError):
    """An issuer's keys could not be read; `reason` comes from a closed set."""

    def __init__(self, reason: KeysFault) -> None:
        """Keep the reason, which is a metric label."""
        super().__init__(f"the issuer's keys could not be read: {reason}")
        self.reason = reason


class AdminRefusal(WatchgateError):
    """The admin API does not do what it was asked; the message is for who asked."""


class NotThere(AdminRefusal):
    """What the path names does not exist."""


class Conflict(AdminRefusal):
    """It cannot be done as things stand."""


class Unacceptable(AdminRefusal):
    """A value is wrong; `param` names it."""

    def __init__(self, param: str, message: str) -> None:
        """Keep the parameter's name apart from the message."""
        super().__init__(message)
        self.param = param


class NotPermitted(AdminRefusal):
    """The administrator's role does not hold the permission."""


class ArtefactError(WatchgateError):
    """A detector's files are missing, altered or of another version."""


class PepperRefused(WatchgateError):
    """A pepper cannot be switched to, or retired, as things are; the message says what to do."""


class BackupError(WatchgateError):
    """A backup cannot be written, or not be restored here; the message says what to do."""


class Refusal(WatchgateError):
    """A request that Watchgate does not serve; `param` names the request's field at fault."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        """Keep the message for the caller and the field that it is about."""
        super().__init__(message)
        self.param = param


class InvalidApiKey(Refusal):
    """No key, or one that is unknown, expired or revoked; or a token that proves nothing."""


class AccountSuspended(Refusal):
    """The account is suspended: the project, or the end user that the request is for."""


class AddressNotAllowed(Refusal):
    """The caller may not call from where it does."""


class ModelNotAllowed(Refusal):
    """The caller may not use this model."""


class SurfaceNotAllowed(Refusal):
    """The caller may not use this API on this model."""


class ModelNotFound(Refusal):
    """No such model is registered."""


class NotFound(Refusal):
    """No such path: the gateway serves an allow-list of paths."""


class MethodNotAllowed(Refusal):
    """The path exists, for another method."""

    def __init__(self, message: str, *, allow: str) -> None:
        """Keep the message, and the method that the path is there for."""
        super().__init__(message)
        self.allow = allow


class InvalidRequest(Refusal):
    """The body is not what the surface takes."""


class RequestTooLarge(Refusal):
    """The body is over the limit."""


class RequestTimeout(Refusal):
    """The body did not arrive in time."""


class LimitReached(Refusal):
    """A limit lets no more in. `retry_after_s`: when it will; `is_final`: never, this request."""

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None = None,
        is_final: bool = False,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        """Keep when another try makes sense, and the headers that tell how the limit stands."""
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.is_final = is_final
        self.headers = headers


class RateLimitExceeded(LimitReached):
    """A limit on requests or tokens a minute, or on requests at once, is reached."""


class BudgetExceeded(LimitReached):
    """The tokens of a day or a month are used up, or what is left is too little."""


class TooManyConnections(Refusal):
    """The gateway has as many connections as it may have."""


class SafeguardInactive(Refusal):
    """A safeguard that the model's tier requires is not active; the message names it."""


class PromptBlocked(Refusal):
    """The prompt crosses an operating point whose action is to block."""


class UpstreamError(WatchgateError):
    """The upstream did not do its part."""


class UpstreamUnavailable(UpstreamError):
    """No connection, or it closed before a byte of answer came."""


class UpstreamTimeout(UpstreamError):
    """The upstream was too slow."""


class UpstreamBroke(UpstreamError):
    """The answer ended in its middle, or was not HTTP."""


class ClientGone(WatchgateError):
    """The caller closed the connection before the answer was complete."""


class Interrupted(WatchgateError):
    """The gateway stopped before the answer was complete."""
