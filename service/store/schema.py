"""Bringing the tables up to date: Alembic, in one transaction that may write.

Such transactions come one after the other, so one process migrates and the others find it done.
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Protocol

from sqlalchemy import Connection, inspect, text

from service.errors import ConfigError

HEAD: Final = "0003"
"""The newest migration. Known without Alembic, whose import would slow every command."""

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


class Opens(Protocol):
    """A store, as far as it is needed here."""

    def begin(self) -> AbstractContextManager[Connection]:
        """Give a connection in a transaction that may write."""
        ...

    def read(self) -> AbstractContextManager[Connection]:
        """Give a connection that only reads."""
        ...


def migrate(store: Opens) -> None:
    """Do what is missing: nothing for a store that is up to date.

    Raises:
        ConfigError: the database was made by a newer version of Watchgate.
    """
    with store.read() as connection:
        if _version(connection) == HEAD:
            return
    with store.begin() as connection:
        found = _version(connection)  # another process may have been faster
        if found is not None and found > HEAD:
            raise ConfigError(
                f"store.url: the database has schema {found} and this version of Watchgate "
                f"knows up to {HEAD}; run the newer version",
            )
        if found != HEAD:
            upgrade(connection)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(connection: Connection, to: str = "head") -> None:
    """Run the migrations up to one, in the transaction that is open."""
    from alembic import command  # noqa: PLC0415  (0.1 s that only a migration should cost)
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)
