"""SQLite as the store.

It keeps a rollback journal, not a write-ahead log: several processes write, and before 3.51.3 two
writers could lose data in WAL mode when it is reset (Debian ships 3.40). Writers take their lock
when a transaction begins: one that began by reading could not wait for it.
"""

import os
import sqlite3
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, NullPool, create_engine, event
from sqlalchemy.engine import URL

BUSY_TIMEOUT_S: Final = 10.0


def sqlite_engines(url: URL) -> tuple[Engine, Engine]:
    """Return what reads and what writes in a file that is there by then.

    Each transaction opens it anew: a file that is put in its place, as when a backup is restored,
    is used at once, and one that was taken away is missed.
    """
    path = file_of(url)
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S}, poolclass=NullPool)
    event.listen(engine, "do_connect", lambda *_: _refuse_to_make(path))
    event.listen(engine, "connect", _set_up_connection)
    reading, writing = engine.execution_options(), engine.execution_options()
    event.listen(reading, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    event.listen(writing, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return reading, writing


def file_of(url: URL) -> Path:
    """Return where a database is."""
    return Path(url.database or "")


def make_private_file(path: Path) -> None:
    """SQLite gives its journal the mode of the database, so this is enough for both."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _refuse_to_make(path: Path) -> None:
    if not path.is_file():
        raise sqlite3.OperationalError(f"there is no file {path}")


def _set_up_connection(connection: sqlite3.Connection, _record: Any) -> None:  # noqa: ANN401
    connection.isolation_level = None  # the driver would begin transactions by rules of its own
    for pragma in ("journal_mode = DELETE", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
