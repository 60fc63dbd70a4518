"""The audit log's chain: who did what, so that a change of what was written shows.

Each entry carries an HMAC-SHA256 over itself and the one before it, under a key that the database
does not hold: whoever writes to the database can break the chain, and cannot mend it.
"""

import hmac
from dataclasses import dataclass
from typing import Any, Final

import msgspec

START: Final = bytes(32)
"""What stands before the first entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done, or one reading of content."""

    at: float
    """Unix seconds."""
    actor: str
    """`cli:alice`, `token:adm_…`, `oidc:ISSUER/SUBJECT`, or the name of a process."""
    action: str
    """`project.create`, `key.revoke`, `access.denied`, …: see docs/audit.md."""
    object: str
    """What it was done to: `project/search`, `key/key_…`."""
    before: Any = None
    """Plain JSON values, as `after`: what there was and what there is now; never a secret."""
    after: Any = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """An entry in its place: `seq` counts from 1."""

    seq: int
    entry: Entry
    mac: bytes


def link(key: bytes, previous: bytes, seq: int, entry: Entry) -> Link:
    """Put an entry behind the one that has the mac `previous`."""
    return Link(seq, entry, hmac.digest(key, previous + _spelled(seq, entry), "sha256"))


def follows(key: bytes, previous: bytes, found: Link) -> bool:
    """Say whether an entry is what was once put behind the one that has the mac `previous`."""
    expected = link(key, previous, found.seq, found.entry)
    return hmac.compare_digest(expected.mac, found.mac)


def _spelled(seq: int, entry: Entry) -> bytes:
    """Return the one spelling of an entry, whatever the database does to JSON."""
    fields = (
        seq,
        entry.at,
        entry.actor,
        entry.action,
        entry.object,
        entry.before,
        entry.after,
        entry.reason,
    )
    return msgspec.json.encode(fields, order="sorted")
