"""Who calls: API keys, and what a presented key proves.

A key is `sk-wg-` and 256 random bits in base64url. Only its HMAC-SHA256 under the pepper is
stored, so neither the store nor a snapshot of it lets anyone call. The digests are looked up in
a mapping: without the pepper nobody can choose a digest, so the time that takes tells nothing.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from service.core.directory import DEFAULT_ORGANISATION, NO_RULES, Rules, Snapshot

KEY_START: Final = "sk-wg-"
KEY_ENTROPY_BYTES: Final = 32
ID_ENTROPY_BYTES: Final = 9
PREFIX_CHARS: Final = 12
"""How much of a key is kept in the clear, to tell keys apart: 36 of its 256 bits."""

_PROJECT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Denial(StrEnum):
    """Why nobody is authenticated; the names are metric labels."""

    UNKNOWN = "unknown"
    EXPIRED = "expired"
    REVOKED = "revoked"
    DISABLED = "disabled"
    """Its service account, project or organisation is."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who authenticated: a key, in a project, in an organisation."""

    key_id: str
    project: str
    account: str
    """Who is judged and enforced on: the project, or an end user within it."""
    organisation: str = DEFAULT_ORGANISATION
    entitlements: frozenset[str] = frozenset()
    """Those of the organisation, the project and the service account together."""
    rules: Rules = NO_RULES
    """The key's own, beside the project's."""

    def of_account(self, account: str) -> "Caller":
        """Return the same caller on an end user's behalf (`replace` takes three times longer)."""
        return Caller(
            self.key_id, self.project, account, self.organisation, self.entitlements, self.rules
        )


def authenticate(snapshot: Snapshot, digest: bytes, now: float) -> Caller | Denial:
    """Return whose key this is, or why it proves nothing. An expiry counts from its instant on."""
    key = snapshot.keys.get(digest)
    if key is None:
        return Denial.UNKNOWN
    if key.revoked_at is not None:
        return Denial.REVOKED
    if key.expires_at is not None and now >= key.expires_at:
        return Denial.EXPIRED
    if key.service_account is None:
        return caller_in(snapshot, key.id, key.project, rules=key.rules)
    account = snapshot.service_accounts.get(key.service_account)
    if account is None or account.disabled:
        return Denial.DISABLED
    return caller_in(snapshot, key.id, key.project, account.entitlements, key.rules)


def caller_in(
    snapshot: Snapshot,
    key_id: str,
    project_name: str,
    entitlements: frozenset[str] = frozenset(),
    rules: Rules = NO_RULES,
) -> Caller | Denial:
    """Return a caller of a project, entitled to what its owners are too."""
    project = snapshot.projects.get(project_name)
    organisation = project and snapshot.organisations.get(project.organisation)
    if project is None or organisation is None:
        return Denial.UNKNOWN
    if project.disabled or organisation.disabled:
        return Denial.DISABLED
    entitled = entitlements | project.entitlements | organisation.entitlements
    return Caller(key_id, project.name, project.name, organisation.name, entitled, rules)


class KeyDigester:
    """Digests keys under one pepper, from a state that has already taken the pepper in.

    `hmac.digest` would release the interpreter's lock for a microsecond of work, and on a busy
    gateway wait for another thread to give it back.
    """

    def __init__(self, pepper: bytes) -> None:
        """Take the pepper in."""
        self._start = hmac.new(pepper, digestmod="sha256")

    def __call__(self, key: str) -> bytes:
        """Return the 32 bytes under which a key is stored; any text has one."""
        state = self._start.copy()
        state.update(key.encode("utf-8", "replace"))
        return state.digest()


def digest_key(pepper: bytes, key: str) -> bytes:
    """Digest one key; see `KeyDigester`."""
    return KeyDigester(pepper)(key)


def make_key(entropy: bytes) -> str:
    """Spell 32 random bytes as a key: `sk-wg-` and 43 characters."""
    if len(entropy) != KEY_ENTROPY_BYTES:
        raise ValueError(f"a key is made of {KEY_ENTROPY_BYTES} bytes, not {len(entropy)}")
    return KEY_START + _base64url(entropy)


def make_id(kind: str, entropy: bytes) -> str:
    """Spell 9 random bytes as an id: `key_`, for the kind "key", and 12 characters."""
    if len(entropy) != ID_ENTROPY_BYTES:
        raise ValueError(f"an id is made of {ID_ENTROPY_BYTES} bytes, not {len(entropy)}")
    return f"{kind}_{_base64url(entropy)}"


def make_key_id(entropy: bytes) -> str:
    """Spell 9 random bytes as the id of a key: `key_` and 12 characters."""
    return make_id("key", entropy)


def visible_prefix(key: str) -> str:
    """Return the part of a key that lists and logs may show."""
    return key[:PREFIX_CHARS]


def is_project_name(text: str) -> bool:
    """Whether it is 1 to 63 letters, digits, `.`, `_` and `-`, the first a letter or digit."""
    return _PROJECT.fullmatch(text) is not None


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
