"""What each administrator may do: roles, and the permissions that they hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Role(StrEnum):
    """What an administrator is there for."""

    VIEWER = "viewer"
    """Sees how things stand."""
    ANALYST = "analyst"
    """Judges accounts: security."""
    OPERATOR = "operator"
    """Lets callers in and bounds them: ops."""
    ADMIN = "admin"
    """May do everything, and makes the others."""


class Permission(StrEnum):
    """What a route of the admin API asks for."""

    READ = "read"
    """Status, the directory, limits, points, labels, standings, alerts, coverage."""
    READ_AUDIT = "read_audit"
    """Who did what."""
    READ_CONTENT = "read_content"
    """What was asked and answered."""
    WRITE_STANDING = "write_standing"
    """Suspend and reinstate accounts."""
    WRITE_DIRECTORY = "write_directory"
    """Organisations, projects, service accounts, keys, limits, rules."""
    PROPOSE_POINTS = "propose_points"
    """Say what operating points should be; nothing applies by that."""
    WRITE_POINTS = "write_points"
    """Let operating points apply, take them back, end them."""
    WRITE_LABELS = "write_labels"
    """Say whether a recorded exchange was misuse."""
    WRITE_ENTITLEMENTS = "write_entitlements"
    """What was found out of a caller, and opens models of higher tiers."""
    WRITE_TOKENS = "write_tokens"
    """Admin tokens: see, make and revoke them."""


_ALL: Final = frozenset(Role)

ROLES: Final[Mapping[Permission, frozenset[Role]]] = MappingProxyType(
    {
        Permission.READ: _ALL,
        Permission.READ_AUDIT: frozenset({Role.ANALYST, Role.ADMIN}),
        Permission.READ_CONTENT: frozenset({Role.ANALYST, Role.ADMIN}),
        Permission.WRITE_STANDING: frozenset({Role.ANALYST, Role.OPERATOR, Role.ADMIN}),
        Permission.WRITE_DIRECTORY: frozenset({Role.OPERATOR, Role.ADMIN}),
        Permission.PROPOSE_POINTS: frozenset({Role.ANALYST, Role.ADMIN}),
        Permission.WRITE_POINTS: frozenset({Role.OPERATOR, Role.ADMIN}),
        Permission.WRITE_LABELS: frozenset({Role.ANALYST, Role.ADMIN}),
        Permission.WRITE_ENTITLEMENTS: frozenset({Role.ADMIN}),
        Permission.WRITE_TOKENS: frozenset({Role.ADMIN}),
    }
)
"""Who holds each permission: the one table that decides."""


@dataclass(frozen=True, slots=True)
class Admin:
    """Who asks the admin API: `actor` is the name that the audit log has for them."""

    actor: str
    role: str


def may(role: str, permission: Permission) -> bool:
    """Say whether a role holds a permission."""
    return role in ROLES[permission]


def holders(permission: Permission) -> str:
    """Name the roles that hold a permission, for people."""
    return ", ".join(role for role in Role if role in ROLES[permission])
