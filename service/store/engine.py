"""Opening the store, an SQLite file, and its transactions.

SQLite keeps a rollback journal, not a write-ahead log: several processes write, and before
3.51.3 two writers could lose data in WAL mode when it is reset (Debian ships 3.40). Writers
take their lock when a transaction begins: one that began by reading could not wait for it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url

from service.store.schema import migrate

BUSY_TIMEOUT_S: Final = 10.0


class Store:
    """A database with today's tables. Threads may share it; processes open their own."""

    def __init__(self, engine: Engine) -> None:
        self._reading = engine
        self._writing = engine.execution_options(watchgate_writes=True)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Give a connection in a transaction that may write: all of it happens, or nothing."""
        with self._writing.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the store, however long it reads."""
        with self._reading.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections. May be called twice."""
        self._reading.dispose()


def open_store(url: str) -> Store:
    """Open the database of `sqlite:///PATH`, made if it is new, and bring its tables up to date.

    Any number of processes may do so at the same time.

    Raises:
        ConfigError: the database was made by a newer version of Watchgate.
    """
    store = Store(_sqlite_engine(make_url(url)))
    try:
        migrate(store)
    except BaseException:
        store.close()
        raise
    return store


def _sqlite_engine(url: URL) -> Engine:
    if url.database:
        _make_private_file(Path(url.database))
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
    event.listen(engine, "connect", _set_up_connection)
    event.listen(engine, "begin", _begin)
    return engine


def _make_private_file(path: Path) -> None:
    """SQLite gives its journal the mode of the database, so this is enough for both."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _set_up_connection(connection: SqliteConnection, _record: Any) -> None:  # noqa: ANN401
    connection.isolation_level = None  # the driver would begin transactions by rules of its own
    for pragma in ("journal_mode = DELETE", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("watchgate_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
