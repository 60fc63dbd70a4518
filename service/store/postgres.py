"""PostgreSQL as the store.

Readers see one state: REPEATABLE READ. Writers take an advisory lock when a transaction begins, so
that they come one after the other as on SQLite, migrations among them; then each statement sees
whatever was committed before (READ COMMITTED).
"""

from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

CONNECT_TIMEOUT_S: Final = 5
STATEMENT_TIMEOUT_S: Final = 10
ANSWER_TIMEOUT_S: Final = 15.0
"""How long we wait for any answer: a server that hangs does not watch its own timeouts."""
IDLE_TIMEOUT_S: Final = 60
"""A process that stops within a transaction holds the others up no longer."""
WRITERS_LOCK: Final = 0x57617463  # any number that nobody else takes in this database: "Watc"

_SERVER: Final = {
    "statement_timeout": STATEMENT_TIMEOUT_S * 1000,
    "lock_timeout": STATEMENT_TIMEOUT_S * 1000,
    "idle_in_transaction_session_timeout": IDLE_TIMEOUT_S * 1000,
}
_CLIENT: Final = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "application_name": "watchgate",
    # a host that is gone says nothing: TCP notices by itself after a quarter of an hour
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": int(ANSWER_TIMEOUT_S * 1000),
}

Answer = TypeVar("Answer")


class _ImpatientConnection(psycopg.Connection[Any]):
    """A connection that is given up when the server does not answer."""

    def wait(
        self, gen: PQGen[Answer], interval: float = 0.1, timeout: float | None = None
    ) -> Answer:
        try:
            return super().wait(gen, interval, timeout or ANSWER_TIMEOUT_S)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()  # an answer may yet come, and would be taken for another one
            raise


def postgres_engines(url: URL) -> tuple[Engine, Engine]:
    """Return what reads and what writes, on one pool, of a database that is there already."""
    options = " ".join(f"-c {name}={value}" for name, value in _SERVER.items())
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={**_CLIENT, "options": options},
        pool_pre_ping=True,
        pool_timeout=STATEMENT_TIMEOUT_S,
    )
    event.listen(engine, "do_connect", _connect)
    writing = engine.execution_options(isolation_level="READ COMMITTED")
    event.listen(writing, "begin", _lock_out_other_writers)
    reading = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return reading, writing


def _connect(_dialect: Any, _record: Any, _arguments: Any, keywords: dict[str, Any]) -> Any:  # noqa: ANN401  (SQLAlchemy's)
    return _ImpatientConnection.connect(**keywords)


def _lock_out_other_writers(connection: Connection) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})")
