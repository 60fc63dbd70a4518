"""What organisations, projects and service accounts have in common."""

from typing import Any, Final

from service.console.fields import Body, Entitlements
from service.console.office import Change
from service.store.owners import Kept, Owner, change_owner, stored_entitlements


class Because(Body):
    """Why something is done: for the audit log."""


NO_REASON: Final = Because()
"""Stands for a body that was left away."""


class NewEntitlements(Body):
    """All that a caller is entitled to, in place of what was there."""

    entitlements: Entitlements


def entitle(change: Change, kind: str, named: str, kept: Kept[Owner], new: NewEntitlements) -> None:
    """Set what an owner is entitled to; nothing happens if that is so already."""
    old = {"entitlements": sorted(kept.owner.entitlements)}
    now = {"entitlements": sorted(new.entitlements)}
    if change.record_difference(f"{kind}.change", f"{kind}/{named}", old, now):
        stored = stored_entitlements(new.entitlements)
        change_owner(change.connection, kept.owner, entitlements=stored)


def disable(change: Change, kind: str, named: str, kept: Kept[Owner]) -> None:
    """Refuse an owner's callers from now on; nothing happens if that is so already."""
    if kept.disabled_at is None:
        change_owner(change.connection, kept.owner, disabled_at=change.now)
        change.record(f"{kind}.disable", f"{kind}/{named}")


def enable(change: Change, kind: str, named: str, kept: Kept[Owner]) -> None:
    """Let an owner's callers in again; nothing happens if that is so already."""
    if kept.disabled_at is not None:
        change_owner(change.connection, kept.owner, disabled_at=None)
        change.record(f"{kind}.enable", f"{kind}/{named}")


def history(kept: Kept[Any]) -> dict[str, Any]:
    """Return the fields that the views of all owners have."""
    return {
        "entitlements": sorted(kept.owner.entitlements),
        "created_at": kept.created_at,
        "created_by": kept.created_by,
        "disabled_at": kept.disabled_at,
    }
