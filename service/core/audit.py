"""The audit log's chain: who did what, so that a change of what was written shows.

Each entry carries an HMAC-SHA256 over itself and the one before it, under a key that the database
does not hold: whoever writes to the database can break the chain, and cannot mend it.
docs/audit.md tells the spelling under the HMAC, for those who check an export on their own.
"""

import hmac
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec

START: Final = bytes(32)
"""What stands before the first entry."""


class Action(StrEnum):
    """Everything that is kept in the audit log. docs/audit.md says what each means."""

    ORGANISATION_CREATE = "organisation.create"
    ORGANISATION_CHANGE = "organisation.change"
    ORGANISATION_DISABLE = "organisation.disable"
    ORGANISATION_ENABLE = "organisation.enable"
    PROJECT_CREATE = "project.create"
    PROJECT_CHANGE = "project.change"
    PROJECT_DISABLE = "project.disable"
    PROJECT_ENABLE = "project.enable"
    SERVICE_ACCOUNT_CREATE = "service_account.create"
    SERVICE_ACCOUNT_CHANGE = "service_account.change"
    SERVICE_ACCOUNT_DISABLE = "service_account.disable"
    SERVICE_ACCOUNT_ENABLE = "service_account.enable"
    KEY_CREATE = "key.create"
    KEY_CHANGE = "key.change"
    KEY_ROTATE = "key.rotate"
    KEY_REVOKE = "key.revoke"
    LIMIT_SET = "limit.set"
    LIMIT_REMOVE = "limit.remove"
    POINT_PROPOSE = "point.propose"
    POINT_PROMOTE = "point.promote"
    POINT_ROLLBACK = "point.rollback"
    POINT_RETIRE = "point.retire"
    LABEL_SET = "label.set"
    LABEL_REMOVE = "label.remove"
    LABEL_EXPORT = "label.export"
    ACCOUNT_SUSPEND = "account.suspend"
    ACCOUNT_REINSTATE = "account.reinstate"
    TOKEN_CREATE = "token.create"  # noqa: S105  (no secret)
    TOKEN_REVOKE = "token.revoke"  # noqa: S105  (no secret)
    ADMIN_BOOTSTRAP = "admin.bootstrap"
    PEPPER_ROTATE = "pepper.rotate"
    PEPPER_RETIRE = "pepper.retire"
    STORE_BACKUP = "store.backup"
    STORE_RESTORE = "store.restore"
    AUDIT_EXPORT = "audit.export"
    CONTENT_READ = "content.read"
    ACCESS_DENIED = "access.denied"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done, or one reading of content."""

    at: float
    """Unix seconds; kept to the microsecond."""
    actor: str
    """`cli:alice`, `token:adm_…`, `oidc:ISSUER/SUBJECT`, or the name of a process."""
    action: str
    """An `Action`."""
    object: str
    """What it was done to: `project/search`, `key/key_…`."""
    before: Any = None
    """What there was, as `after` what there is now: values that JSON can spell; never a secret."""
    after: Any = None
    reason: str | None = None


class Link(NamedTuple):
    """An entry in its place, as it is stored. `seq` counts from 1, `before` and `after` are JSON.

    What a database gave back may be of any type: see `is_sound`.
    """

    seq: int
    at: float
    actor: str
    action: str
    object: str
    before: str | None
    after: str | None
    reason: str | None
    mac: bytes

    @property
    def is_sound(self) -> bool:
        """Whether each field is of the type that was written; SQLite takes any."""
        texts = (self.actor, self.action, self.object)
        may_miss = (self.before, self.after, self.reason)
        return (
            type(self.seq) is int
            and type(self.at) is float
            and all(type(it) is str for it in texts)
            and all(it is None or type(it) is str for it in may_miss)
        )


class Head(NamedTuple):
    """How far the log goes: its last entry's number and mac; 0 and `START` while it is empty."""

    seq: int = 0
    mac: bytes = START


def link(key: bytes, head: Head, entry: Entry) -> Link:
    """Put an entry behind the last one.

    Raises:
        ValueError: the action is not known, the time is no number, or a text holds what not every
            database can: half a surrogate pair, a NUL.
    """
    if not math.isfinite(entry.at):
        raise ValueError("the time of an entry must be a number")
    if any("\0" in text for text in (entry.actor, entry.object, entry.reason or "")):
        raise ValueError("a text of an entry must not hold a NUL")
    new = Link(
        head.seq + 1,
        round(float(entry.at), 6),
        entry.actor,
        str(Action(entry.action)),
        entry.object,
        _json(entry.before),
        _json(entry.after),
        entry.reason,
        b"",
    )
    return new._replace(mac=mac_of(key, head.mac, new))


def mac_of(key: bytes, previous: bytes, found: Link) -> bytes:
    """Return the mac that an entry has behind the one that has the mac `previous`.

    The JSON of `before` and `after` goes in as it is stored: not a space of it can be changed.
    """
    return hmac.digest(key, previous + msgspec.json.encode(found[:-1]), "sha256")


def follows(key: bytes, previous: bytes, found: Link) -> bool:
    """Say whether an entry is what was once put behind the one that has the mac `previous`."""
    return (
        found.is_sound
        and type(found.mac) is bytes
        and hmac.compare_digest(mac_of(key, previous, found), found.mac)
    )


def _json(value: Any) -> str | None:  # noqa: ANN401  (whatever JSON can spell)
    return None if value is None else msgspec.json.encode(value, order="sorted").decode()
