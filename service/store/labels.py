"""Labels of recorded exchanges: one of each person for a part. What was said is not kept here."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, RowMapping, delete, select, tuple_

from detectors.api import Category, Part
from service.core.labels import Label, Meaning
from service.store.tables import labels
from service.store.upsert import insert_into


class LabelKey(NamedTuple):
    """Whose label of what it is."""

    exchange_id: str
    part: Part
    by: str


class Wanted(NamedTuple):
    """Which labels are asked for; None: whatever they have there."""

    exchange_id: str | None = None
    part: Part | None = None
    label: Meaning | None = None


ALL: Final = Wanted()
_KEY: Final = (labels.c.exchange_id, labels.c.part, labels.c.by)


def put_label(connection: Connection, label: Label) -> None:
    """Set a person's label, in the place of another that they gave the same part."""
    names = labels.columns.keys()
    values = {name: getattr(label, name) for name in names}
    values["categories"] = msgspec.json.encode(label.categories).decode()
    row = insert_into(connection, labels).values(values)
    connection.execute(row.on_conflict_do_update(index_elements=_KEY, set_=values))


def find_label(connection: Connection, key: LabelKey) -> Label | None:
    """Return a person's label of a part; None: they gave it none."""
    row = connection.execute(select(labels).where(*_at(key))).mappings().first()
    return None if row is None else _label(row)


def remove_label(connection: Connection, key: LabelKey) -> None:
    """Take a label away."""
    connection.execute(delete(labels).where(*_at(key)))


def list_labels(
    connection: Connection,
    wanted: Wanted = ALL,
    *,
    limit: int | None = None,
    after: LabelKey | None = None,
) -> Sequence[Label]:
    """Return the labels that are wanted, by their keys."""
    query = select(labels).order_by(*_KEY).limit(limit)
    for name, value in wanted._asdict().items():
        if value is not None:
            query = query.where(labels.columns[name] == value)
    if after is not None:
        query = query.where(tuple_(*_KEY) > tuple_(*after))
    return [_label(row) for row in connection.execute(query).mappings()]


def _at(key: LabelKey) -> list[ColumnElement[bool]]:
    return [column == value for column, value in zip(_KEY, key, strict=True)]


def _label(row: RowMapping) -> Label:
    kinds = msgspec.json.decode(row["categories"], type=tuple[Category, ...])
    known = {"part": Part(row["part"]), "label": Meaning(row["label"]), "categories": kinds}
    return Label(**(dict(row) | known))
