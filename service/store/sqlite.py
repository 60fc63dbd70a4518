"""SQLite as the store.

It keeps a rollback journal, not a write-ahead log: several processes write, and before 3.51.3 two
writers could lose data in WAL mode when it is reset (Debian ships 3.40). Writers take their lock
when a transaction begins: one that began by reading could not wait for it.
"""

import os
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any, Final

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL

BUSY_TIMEOUT_S: Final = 10.0


def sqlite_engines(url: URL) -> tuple[Engine, Engine]:
    """Return what reads and what writes, on one pool, of a file that is made when first used."""
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
    if url.database:
        path = Path(url.database)
        event.listen(engine, "do_connect", lambda *_: _make_private_file(path))
    event.listen(engine, "connect", _set_up_connection)
    reading, writing = engine.execution_options(), engine.execution_options()
    event.listen(reading, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    event.listen(writing, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return reading, writing


def _make_private_file(path: Path) -> None:
    """SQLite gives its journal the mode of the database, so this is enough for both."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _set_up_connection(connection: SqliteConnection, _record: Any) -> None:  # noqa: ANN401
    connection.isolation_level = None  # the driver would begin transactions by rules of its own
    for pragma in ("journal_mode = DELETE", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
