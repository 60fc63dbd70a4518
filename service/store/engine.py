"""Opening the store, SQLite or PostgreSQL, and its transactions.

Writers come one after the other on either: each takes a lock when its transaction begins. So what
a writer finds is so until it ends, revisions are handed out in the order in which they are
committed, and code that looks before it inserts needs no other lock. What that costs is in
docs/store.md.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from service.errors import StoreUnavailable
from service.store.postgres import postgres_engines
from service.store.schema import migrate
from service.store.sqlite import sqlite_engines

UNREACHABLE: Final = (SQLAlchemyError, OSError)
"""What it raises to use a store that is away."""


class Store:
    """A database with today's tables. Threads may share it; processes open their own."""

    def __init__(self, reading: Engine, writing: Engine) -> None:
        self._reading = reading
        self._writing = writing

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


def store_at(url: str) -> Store:
    """Return the store of `sqlite:///PATH` or `postgresql://…`, untouched so far.

    It may be away; and before it is used somebody must bring its tables up to date.
    """
    parsed = make_url(url)
    is_sqlite = parsed.get_backend_name() == "sqlite"
    return Store(*(sqlite_engines(parsed) if is_sqlite else postgres_engines(parsed)))


def open_store(url: str) -> Store:
    """Open a store, an SQLite file made if it is new, and bring its tables up to date.

    Any number of processes may do so at the same time.

    Raises:
        ConfigError: the database was made by a newer version of Watchgate.
        StoreUnavailable: it cannot be used now.
    """
    store = store_at(url)
    try:
        migrate(store)
    except UNREACHABLE as error:
        store.close()
        raise StoreUnavailable(f"store.url: the database cannot be used: {_why(error)}") from error
    except BaseException:
        store.close()
        raise
    return store


def _why(error: Exception) -> str:
    """Return the driver's words, without the statement that SQLAlchemy adds to them."""
    return " ".join(str(getattr(error, "orig", None) or error).split())
