"""The revision: grows with each change that gateways must see."""

from sqlalchemy import Connection, select, update

from service.store.tables import meta


def bump_revision(connection: Connection) -> int:
    """Raise the revision and return it; the rows that changed keep it in this transaction.

    Transactions that change something come one after the other: the row is locked until the end.
    """
    raised = update(meta).values(revision=meta.c.revision + 1).returning(meta.c.revision)
    revision: int = connection.execute(raised).scalar_one()
    return revision


def take_turn(connection: Connection) -> None:
    """Have others that change something wait until the end of this transaction, from now on.

    What is read after it stays true until what follows from it is written.
    """
    connection.execute(select(meta.c.id).with_for_update())


def current_revision(connection: Connection) -> int:
    """Return the revision as this transaction sees it."""
    revision: int = connection.execute(select(meta.c.revision)).scalar_one()
    return revision
