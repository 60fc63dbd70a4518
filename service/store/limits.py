"""Limits and budgets, by whose they are and for which model."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, RowMapping, or_, select, tuple_

from service.core.directory import NO_LIMITS, Limits, Scope
from service.store.pages import Page
from service.store.revision import bump_revision
from service.store.tables import limits
from service.store.upsert import insert_into


class Place(NamedTuple):
    """Whose limits they are, and for which model (`ALL_MODELS`: for all together)."""

    scope: Scope
    subject: str
    model: str


class LimitsAt(NamedTuple):
    """Limits and where they hold."""

    place: Place
    limits: Limits


_PLACE: Final = (limits.c.scope, limits.c.subject, limits.c.model)
_NUMBERS: Final = Limits.__struct_fields__


def find_limits(connection: Connection, place: Place) -> Limits:
    """Return the limits of one place; `NO_LIMITS` if there are none."""
    query = select(limits).where(*_at(place))
    row = connection.execute(query).mappings().first()
    return NO_LIMITS if row is None else _limits(row)


def put_limits(connection: Connection, place: Place, numbers: Limits) -> None:
    """Set all limits of one place; those that are None are taken away.

    The row stays when all are: gateways that ask what changed see that it did.
    """
    values = msgspec.structs.asdict(numbers) | {"revision": bump_revision(connection)}
    row = insert_into(connection, limits).values(**place._asdict(), **values)
    connection.execute(row.on_conflict_do_update(index_elements=_PLACE, set_=values))


def list_limits(
    connection: Connection,
    page: Page,
    *,
    scope: Scope | None = None,
    subject: str | None = None,
    after: Place | None = None,
) -> Sequence[LimitsAt]:
    """Return the limits that there are, or those of a scope or a subject, by place."""
    query = select(limits).where(_some()).order_by(*_PLACE).limit(page.limit)
    if scope is not None:
        query = query.where(limits.c.scope == scope)
    if subject is not None:
        query = query.where(limits.c.subject == subject)
    if after is not None:
        query = query.where(tuple_(*_PLACE) > tuple_(*after))
    rows = connection.execute(query).mappings()
    return [LimitsAt(_place(row), _limits(row)) for row in rows]


def copy_limits(connection: Connection, scope: Scope, old: str, new: str) -> None:
    """Give one subject the limits that another has."""
    query = select(limits).where(_some(), limits.c.scope == scope, limits.c.subject == old)
    for row in connection.execute(query).mappings().all():
        put_limits(connection, Place(scope, new, row["model"]), _limits(row))


def _at(place: Place) -> list[ColumnElement[bool]]:
    return [column == value for column, value in zip(_PLACE, place, strict=True)]


def _some() -> ColumnElement[bool]:
    return or_(*(limits.c[name].is_not(None) for name in _NUMBERS))


def _place(row: RowMapping) -> Place:
    return Place(Scope(row["scope"]), row["subject"], row["model"])


def _limits(row: RowMapping) -> Limits:
    return Limits(**{name: row[name] for name in _NUMBERS})
