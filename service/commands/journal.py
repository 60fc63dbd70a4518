"""`watchgate journal`: copy the journals of this machine, and put a copy back."""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from service.commands.common import (
    Exit,
    add_json_argument,
    add_leaf,
    load_settings,
    print_json,
    say,
)
from service.errors import EventLogError
from service.events.journal.copying import Copied, copy_journals, restore_journals


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    """Add `journal` and its commands."""
    parser = subparsers.add_parser(
        "journal",
        help="back the journals of this machine up, and restore them",
        description="Copy the journals while they are written to, or put a copy back.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    backup = add_leaf(
        commands,
        "backup",
        "copy all journals into a new folder, while everything runs",
        "watchgate journal backup /backups/monday/journal",
    )
    backup.add_argument("folder", type=Path, metavar="FOLDER", help="is made")
    restore = add_leaf(
        commands,
        "restore",
        "put copied journals back, before anything is started",
        "watchgate journal restore /backups/monday/journal",
    )
    restore.add_argument("folder", type=Path, metavar="FOLDER", help="what `journal backup` made")
    for leaf, run in ((backup, _backup), (restore, _restore)):
        add_json_argument(leaf)
        leaf.set_defaults(run=run)
    return parser


def _backup(args: argparse.Namespace) -> int:
    root = load_settings(args).data_dir / "journal"
    copied = _told(args.folder, lambda: copy_journals(root, args.folder))
    say(f"{args.folder} holds {_counted(copied)}: what people wrote, so keep it as private.")
    return _ended(args, copied)


def _restore(args: argparse.Namespace) -> int:
    root = load_settings(args).data_dir / "journal"
    copied = _told(args.folder, lambda: restore_journals(args.folder, root, time.time()))
    say(f"{_counted(copied)} are restored: {', '.join(it.log for it in copied)}.")
    return _ended(args, copied)


def _told(folder: Path, act: Callable[[], list[Copied]]) -> list[Copied]:
    """Say which folder it is that something is wrong with."""
    try:
        return act()
    except OSError as error:
        raise EventLogError(f"{folder}: {error.strerror or error}") from None


def _counted(copied: Sequence[Copied]) -> str:
    return f"{len(copied)} journals in {sum(it.segments for it in copied)} segments"


def _ended(args: argparse.Namespace, copied: Sequence[Copied]) -> int:
    if args.json:
        print_json([it._asdict() for it in copied])
    return Exit.OK
