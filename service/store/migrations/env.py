"""Run by Alembic: migrates the connection it is given, in the transaction that is open on it."""

import logging

from alembic import context

from service.store.tables import metadata

logging.getLogger("alembic").setLevel(logging.WARNING)
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
