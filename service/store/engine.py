"""Opening the store, SQLite or PostgreSQL, and its transactions.

Writers come one after the other on either: each takes a lock when its transaction begins. So what
a writer finds is so until it ends, revisions are handed out in the order in which they are
committed, and code that looks before it inserts needs no other lock. What that costs is in
docs/store.md.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from service.errors import StoreUnavailable
from service.store.postgres import postgres_engines
from service.store.schema import migrate
from service.store.sqlite import file_of, make_private_file, sqlite_engines

UNREACHABLE: Final = (SQLAlchemyError, OSError)
"""What it raises to use a store that is away."""


class Store:
    """A database. Threads may share it; processes open their own."""

    def __init__(self, url: str) -> None:
        """Take the address, `sqlite:///PATH` or `postgresql://…`; the store may be away so far."""
        self._url = make_url(url)
        self._is_file = self._url.get_backend_name() == "sqlite"
        engines = sqlite_engines if self._is_file else postgres_engines
        self._reading, self._writing = engines(self._url)

    def prepare(self, *, may_be_new: bool = True) -> None:
        """Bring the tables up to date, in a file that is made if it is SQLite's and may be new.

        Any number of processes may do so at the same time.

        Raises:
            ConfigError: the database was made by a newer version of Watchgate.
        """
        if self._is_file and may_be_new:
            make_private_file(file_of(self._url))
        migrate(self)

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
    """Return the store at an address, prepared for use.

    Raises:
        ConfigError: the database was made by a newer version of Watchgate.
        StoreUnavailable: it cannot be used now.
    """
    store = Store(url)
    try:
        store.prepare()
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
