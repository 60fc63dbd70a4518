"""Bringing the tables up to date: Alembic, in one transaction that may write.

Such transactions come one after the other, so one process migrates and the others find it done.

A newer version's tables are used as they are, where that version says that this one may: see
docs/upgrading.md for what a migration may do, and when.
"""

import logging
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from sqlalchemy import Connection, inspect, text

from service.errors import BackupError, ConfigError

_log = logging.getLogger(__name__)
HEAD: Final = "0006"
"""The newest migration. Known without Alembic, whose import would slow every command."""
READABLE_FROM: Final = "0004"
"""The oldest schema whose programs may use the tables as `HEAD` has them: not newer than that of
the release before."""
RESTORABLE_FROM: Final = "0003"
"""The oldest schema whose backups fit into the tables as they are: what came since is empty there,
or has a default."""

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


class Opens(Protocol):
    """A store, as far as it is needed here."""

    def begin(self) -> AbstractContextManager[Connection]:
        """Give a connection in a transaction that may write."""
        ...

    def read(self) -> AbstractContextManager[Connection]:
        """Give a connection that only reads."""
        ...


class Schema(NamedTuple):
    """What a store's tables are, and who may use them."""

    number: str
    readable_from: str
    """The oldest schema that a program may know to use them."""
    made_by: str
    """The version of Watchgate that migrated last."""

    @property
    def is_too_new(self) -> bool:
        """Say whether this version may not use them."""
        return self.number > HEAD and self.readable_from > HEAD

    def __str__(self) -> str:
        """Say what they are, and of whom."""
        who = f", of Watchgate {self.made_by}" if self.made_by else ""
        return f"schema {self.number}{who}"


def migrate(store: Opens) -> None:
    """Do what is missing: nothing for a store that is up to date, or may be used as it is.

    Raises:
        ConfigError: the database was made by a newer version of Watchgate, and is not for this one.
    """
    with store.read() as connection:
        if _is_ready(connection):
            return
    with store.begin() as connection:
        if not _is_ready(connection):  # another process may have been faster
            upgrade(connection)


def schema_of(connection: Connection) -> Schema | None:
    """Return what the tables are; None: there are none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    number = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if number is None or number < "0004":  # before these columns
        return None if number is None else Schema(number, number, "")
    row = connection.execute(text("SELECT readable_from, made_by FROM meta")).one()
    return Schema(number, row.readable_from, row.made_by)


def too_new(found: Schema) -> str:
    """Say what is to be done where the tables are not for this version."""
    newer = found.made_by or "the newer version"
    return (
        f"the database has {found}, and this is Watchgate {version('watchgate')}, "
        f"which knows up to {HEAD}: install Watchgate {newer}"
    )


def check_known(connection: Connection) -> None:
    """See that all that is in the store is known: to copy it, or to put something in its place.

    Raises:
        BackupError: a newer version has put more into it.
    """
    found = schema_of(connection)
    if found is not None and found.number > HEAD:
        raise BackupError(
            f"the store has {found}, of which this version ({HEAD}) does not know all: "
            f"use Watchgate {found.made_by or 'of that schema'} for backups and restores",
        )


def upgrade(connection: Connection, to: str = "head") -> None:
    """Run the migrations up to one, in the transaction that is open."""
    from alembic import command  # noqa: PLC0415  (0.1 s that only a migration should cost)
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)
    if to == "head":
        filled = text("UPDATE meta SET readable_from = :readable, made_by = :made_by")
        connection.execute(filled, {"readable": READABLE_FROM, "made_by": version("watchgate")})


def _is_ready(connection: Connection) -> bool:
    found = schema_of(connection)
    if found is None or found.number < HEAD:
        return False
    if found.is_too_new:
        raise ConfigError(f"store.url: {too_new(found)}")
    if found.number > HEAD:
        _log.warning("the store has %s: this version goes on with what it knows of it", found)
    return True
