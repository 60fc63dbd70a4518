"""The tables in which workers keep how far they are, and what all tables belong to.

A change needs a migration, as in `tables`, which has the others.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Float, MetaData, Table, Text

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

effects: Final = Table(
    "effects",
    metadata,
    Column("verdict_id", Text, primary_key=True),
    Column("applied_at", Float, nullable=False, index=True),
)
"""The verdicts that had their effect: none has two."""

heartbeats: Final = Table(
    "heartbeats",
    metadata,
    Column("worker", Text, primary_key=True),
    Column("at", Float, nullable=False),
    Column("lag_s", Float, nullable=False),
)

counted: Final = Table(
    "counted",
    metadata,
    Column("log", Text, primary_key=True),
    Column("part", BigInteger, primary_key=True),
    Column("last", BigInteger, nullable=False),
    Column("latest_at", Float, nullable=False),
)
"""Up to where the events of each log were counted."""

coverage_gaps: Final = Table(
    "coverage_gaps",
    metadata,
    Column("exchange_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("first_seen_at", Float, nullable=False),
    Column("closed_at", Float, index=True),
)
