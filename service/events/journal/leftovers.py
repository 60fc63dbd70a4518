"""Whether a folder of journals can be given up: nobody writes there, and everyone has read all."""

from collections.abc import Collection
from pathlib import Path

from service.events.journal.groups import Group, groups_folder
from service.events.journal.lookup import journal_folders, synced_offset
from service.events.journal.slots import held_slots


def leftovers(root: Path, groups: Collection[str]) -> list[str]:
    """Say what keeps the journals from being given up, in words; nothing: they can be.

    Writers are looked for first: once there are none, what was synced grows no more.

    Raises:
        EventLogError: a file of acknowledgements is damaged.
    """
    writing = [f"a process writes {name}" for name in held_slots(root)]
    return writing or [
        f"{count} records of {folder.name} are not known to be read by {group}"
        for group in groups
        for folder in journal_folders(root)
        if (count := _unread(folder, groups_folder(root), group))
    ]


def _unread(folder: Path, acknowledgements: Path, group: str) -> int:
    """Count what is synced and was not acknowledged, whatever its topic."""
    acknowledged = Group(acknowledgements, group).load().get(folder.name)
    return max(0, synced_offset(folder) - (acknowledged.offset if acknowledged else 0))
