"""A backup takes the place of what is in the store, in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from sqlalchemy import Connection, Table, delete, func, select, update

from service.errors import BackupError
from service.store.backup import TABLES, Progress, last_entry
from service.store.backup_file import Header, LastEntry, proved_lines, read_header
from service.store.pepper import held_in_use, pepper_id, valid_peppers
from service.store.restore_databases import take_time, without_triggers
from service.store.restore_merge import former_rows, merge_stricter
from service.store.restore_rows import load_rows
from service.store.revision import bump_revision
from service.store.schema import HEAD, RESTORABLE_FROM, check_known
from service.store.tables import admin_tokens, alerts, audit, keys, meta


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was read through and is what was written."""

    file: BinaryIO
    header: Header
    pepper: bytes


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of a store."""

    rows: Mapping[str, int]
    """How many each table has in the backup."""
    stricter: Mapping[str, int]
    """How many rows of each table ended, or stand worse, by what was replaced."""
    keys_dropped: int
    """Those that the backup does not know."""
    audit_kept: bool
    """Whether the store's own audit log stayed: it holds that of the backup."""
    audit_dropped: int
    """How long the store's own was, if the backup's is another; else 0."""


def proved_backup(file: BinaryIO, given: Sequence[bytes]) -> Backup:
    """Read a backup through, of which nothing is used before.

    Raises:
        BackupError: it is none, damaged, changed, of another schema, or under no given pepper.
    """
    header = read_header(file)
    pepper = next((it for it in given if pepper_id(it) == header.pepper), None)
    if pepper is None:
        raise BackupError(
            f"it was made under pepper {header.pepper}, which is not among those that are set: "
            "set that one (auth.pepper, auth.previous_peppers), or bring back its file",
        )
    for _ in proved_lines(file, pepper):
        pass
    if not RESTORABLE_FROM <= header.schema <= HEAD:
        raise BackupError(
            f"it has schema {header.schema}, made by Watchgate {header.version}, and this version "
            f"restores {RESTORABLE_FROM} to {HEAD}: restore it with Watchgate {header.version}, "
            "then upgrade",
        )
    return Backup(file, header, pepper)


def restore(  # noqa: PLR0913  (what there is to decide)
    connection: Connection,
    backup: Backup,
    given: Sequence[bytes],
    *,
    epoch: str,
    replace: bool,
    progress: Progress,
) -> Restored:
    """Put a backup in the place of everything, within a transaction that is all or nothing.

    With `replace` of a store that is in use already; whoever was shut out since stays shut out.
    Gateways load everything anew: the revision is past both, and of a new epoch.

    Raises:
        BackupError: the store is in use or a newer version's, or the backup is not what was proved.
        ConfigError: keys in the backup are under a pepper that is not given.
    """
    take_time(connection)
    check_known(connection)
    if not replace:
        _check_unused(connection)
    with former_rows(connection) as former:
        last, kept = last_entry(connection), _goes_on(connection, backup.header.audit)
        _clear(connection, keep_audit=kept)
        skipped = {audit.name} if kept else set()
        rows = load_rows(connection, backup.file, backup.pepper, skipped, progress)
        stricter = merge_stricter(connection, former) if replace else {}
        dropped = _count_missing(connection, former[keys.name])
    held_in_use(valid_peppers(connection), given)
    _begin_epoch(connection, backup.header, epoch)
    lost = last.seq if last and not _goes_on(connection, last) else 0
    return Restored(rows, stricter, dropped, kept, lost)


def _check_unused(connection: Connection) -> None:
    for table in (keys, admin_tokens, alerts):
        if connection.execute(select(table).limit(1)).first() is not None:
            raise BackupError(
                f"the store has {table.name.replace('_', ' ')} already: name an empty one in "
                "store.url, or replace all that is in this one with --replace",
            )


def _count_missing(connection: Connection, former: Table) -> int:
    missing = former.c.id.not_in(select(keys.c.id))
    count: int = connection.execute(select(func.count()).where(missing)).scalar_one()
    return count


def _goes_on(connection: Connection, entry: LastEntry | None) -> bool:
    """Whether the audit log in the store holds this entry, or there is none to hold."""
    if entry is None:
        return True
    found = select(audit.c.mac).where(audit.c.seq == entry.seq)
    mac: bytes | None = connection.execute(found).scalar()
    return mac == entry.mac


def _clear(connection: Connection, *, keep_audit: bool) -> None:
    for table in reversed(TABLES):
        if table is not audit:
            connection.execute(delete(table))
    if not keep_audit:
        with without_triggers(connection, audit):
            connection.execute(delete(audit))


def _begin_epoch(connection: Connection, header: Header, epoch: str) -> None:
    revision = max(bump_revision(connection), header.revision + 1)
    secret = header.end_user_secret
    connection.execute(update(meta).values(revision=revision, epoch=epoch, end_user_secret=secret))
