"""`watchgate store`: bring the store's tables up to date, back it up, and restore it."""

import argparse
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from service.commands.common import (
    Exit,
    actor,
    add_json_argument,
    add_leaf,
    load_settings,
    opened_store,
    print_json,
    say,
    shown_time,
)
from service.core.audit import Entry
from service.errors import BackupError
from service.store.backup import Written, write_backup
from service.store.backup_file import Header
from service.store.pepper import pepper_in_use
from service.store.restore import Restored, proved_backup, restore
from service.store.secret_file import private_file
from service.wiring.audit import audit_log_of
from service.wiring.peppers import peppers_of

_SAID_ROWS: Final = 20_000
_STALE: Final = """\
What was done after {made_at} is not in this backup and is undone:
  - keys and admin tokens that were revoked, or end sooner, since: they work again
  - projects, organisations and service accounts that were disabled since: they are enabled again
  - accounts that were suspended or throttled since: they are not any more
Do it again, by `watchgate keys revoke` and the like, before callers reach the gateways."""
_KEPT: Final = """\
Whoever was shut out since {made_at} stays so ({rows}).
What was loosened since has to be loosened again."""
_UNDONE: Final = """\
Also as of {made_at}: rules, limits, entitlements, roles of admin tokens, alerts. Keys made since
are not known any more."""


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    """Add `store` and its commands."""
    parser = subparsers.add_parser(
        "store",
        help="migrate the store, back it up, and restore it",
        description="Migrate the store, back it up, restore it, or move it to another database.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    migrating = add_leaf(
        commands,
        "migrate",
        "bring the store's tables up to date, as any process does when it starts",
        "watchgate store migrate",
    )
    migrating.set_defaults(run=_migrate)
    backup = add_leaf(
        commands,
        "backup",
        "write all of the store into a file, while everything runs",
        "watchgate store backup /backups/watchgate-monday.jsonl.gz",
    )
    backup.add_argument("file", type=Path, metavar="FILE", help="is replaced if it is there")
    add_json_argument(backup)
    backup.set_defaults(run=_backup)
    _add_restore(commands)
    return parser


def _add_restore(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = add_leaf(
        commands,
        "restore",
        "fill an empty store, which may be another database, from a backup",
        "watchgate store restore /backups/watchgate-monday.jsonl.gz --reason 'disk lost'",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="what `store backup` wrote")
    parser.add_argument(
        "--replace",
        action="store_true",
        help="replace all that is in a store in use; whoever was shut out since stays shut out",
    )
    parser.add_argument("--reason", metavar="TEXT", help="for the audit log")
    add_json_argument(parser)
    parser.set_defaults(run=_restore)


def _migrate(args: argparse.Namespace) -> int:
    with opened_store(load_settings(args)):
        say("The store's tables are up to date.")
    return Exit.OK


def _backup(args: argparse.Namespace) -> int:
    settings = load_settings(args)
    with opened_store(settings) as store:
        pepper = pepper_in_use(store, peppers_of(settings))
        with _told(args.file), private_file(args.file) as file:
            written = write_backup(store, file, pepper, time.time(), _progress)
        entry = Entry(time.time(), actor(), "store.backup", "store", after=_facts(written))
        with store.begin() as connection:
            audit_log_of(settings).record(connection, entry)
    say(f"{args.file} holds {sum(written.rows.values())} rows, proved under the pepper.")
    say("It can be restored only with the pepper: keep that too, somewhere else.")
    if args.json:
        print_json({"file": str(args.file), **_facts(written)})
    return Exit.OK


def _restore(args: argparse.Namespace) -> int:
    settings = load_settings(args)
    given = peppers_of(settings)
    with opened_store(settings) as store, _told(args.file), args.file.open("rb") as file:
        backup = proved_backup(file, given)
        with store.begin() as connection:
            restored = restore(
                connection,
                backup,
                given,
                epoch=secrets.token_hex(8),
                replace=args.replace,
                progress=_progress,
            )
            after = {**_of_header(backup.header), **asdict(restored)}
            entry = Entry(time.time(), actor(), "store.restore", "store", None, after, args.reason)
            audit_log_of(settings).record(connection, entry)
    _warn(backup.header, restored, replaced=args.replace)
    if args.json:
        print_json({"file": str(args.file), **after})
    return Exit.OK


def _warn(header: Header, restored: Restored, *, replaced: bool) -> None:
    made_at = shown_time(header.made_at)
    say(f"{sum(restored.rows.values())} rows are restored; gateways load everything anew.")
    if replaced:
        kept = ", ".join(f"{name}: {count}" for name, count in restored.stricter.items() if count)
        say(_KEPT.format(rows=kept or "nobody was", made_at=made_at))
    else:
        say(_STALE.format(made_at=made_at))
    say(_UNDONE.format(made_at=made_at))
    if restored.keys_dropped:
        say(f"{restored.keys_dropped} keys that were in the store are not in the backup.")
    if restored.audit_dropped:
        say(f"The store's own audit log, of {restored.audit_dropped} entries, is replaced too.")


def _facts(written: Written) -> dict[str, Any]:
    return {**_of_header(written.header), "rows": dict(written.rows), "mac": written.mac}


def _of_header(header: Header) -> Mapping[str, Any]:
    return {
        "made_at": shown_time(header.made_at),
        "version": header.version,
        "schema": header.schema,
        "revision": header.revision,
        "pepper": header.pepper,
    }


def _progress(table: str, rows: int) -> None:
    if rows % _SAID_ROWS == 0:
        say(f"{table}: {rows} rows")


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """Say which file it is that something is wrong with."""
    try:
        yield
    except BackupError as error:
        raise BackupError(f"{file}: {error}") from None
    except OSError as error:
        raise BackupError(f"{file}: {error.strerror or error}") from None
