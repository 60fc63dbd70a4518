"""What a restore needs that each database has in a way of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Table, func, select, text


def take_time(connection: Connection) -> None:
    """Let statements of this transaction take as long as they do."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))


@contextmanager
def without_triggers(connection: Connection, table: Table) -> Iterator[None]:
    """Let rows be deleted that triggers protect, within a transaction that no other sees."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"ALTER TABLE {table.name} DISABLE TRIGGER USER"))
        yield
        connection.execute(text(f"ALTER TABLE {table.name} ENABLE TRIGGER USER"))
        return
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table"
    triggers = connection.execute(text(query), {"table": table.name}).all()
    for name, _ in triggers:
        connection.exec_driver_sql(f'DROP TRIGGER "{name}"')
    yield
    for _, made in triggers:
        connection.exec_driver_sql(made)


def count_on(connection: Connection, table: Table) -> None:
    """Let the next number that the database gives be above those that were put in."""
    column = table.autoincrement_column
    if column is None or connection.dialect.name != "postgresql":
        return
    sequence = func.pg_get_serial_sequence(table.name, column.name)
    highest = connection.execute(select(func.max(column))).scalar()
    if highest is not None:
        connection.execute(select(func.setval(sequence, highest)))
