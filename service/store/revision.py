"""The revision: grows with each change that gateways must see."""

from sqlalchemy import Connection, select, update

from service.store.tables import meta


def bump_revision(connection: Connection) -> None:
    """Tell the gateways; belongs in the transaction of the change itself."""
    connection.execute(update(meta).values(revision=meta.c.revision + 1))


def current_revision(connection: Connection) -> int:
    """Return the revision as this transaction sees it."""
    revision: int = connection.execute(select(meta.c.revision)).scalar_one()
    return revision
