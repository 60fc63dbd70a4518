"""Operating points as they are stored: their versions, and what was done to each.

Whoever changes one has taken their turn (`revision.take_turn`): what is read here stays so until
it is written. What may be done to a point is decided by whoever calls this.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection, RowMapping, func, insert, select, tuple_, update

from detectors.api import Category, Part
from service.core.error_rates import ErrorRates
from service.core.points import OperatingPoint, PointChange, PointScope, PointState, PointStep
from service.errors import Conflict
from service.store.revision import bump_revision
from service.store.tables import point_changes, points

_log = logging.getLogger(__name__)
NOT_RETIRED: Final = (PointState.PROPOSED, PointState.ACTIVE)


class Done(NamedTuple):
    """By whom something is done, when (Unix seconds) and why."""

    at: float
    by: str
    reason: str


class Place(NamedTuple):
    """Where a list goes on: behind this version of this point."""

    id: str
    version: int


class Versions(NamedTuple):
    """All that there is of a point, the first version first."""

    all: Sequence[OperatingPoint]

    @property
    def active(self) -> OperatingPoint | None:
        """The version that applies."""
        return self._last(PointState.ACTIVE)

    @property
    def proposed(self) -> OperatingPoint | None:
        """The version that waits to be promoted."""
        return self._last(PointState.PROPOSED)

    @property
    def latest(self) -> OperatingPoint:
        """The last that was proposed, whatever became of it."""
        return self.all[-1]

    def numbered(self, version: int) -> OperatingPoint:
        """Return one version."""
        return next(it for it in self.all if it.version == version)

    def _last(self, state: PointState) -> OperatingPoint | None:
        return next((it for it in reversed(self.all) if it.state is state), None)


def propose(connection: Connection, new: OperatingPoint, done: Done) -> OperatingPoint:
    """Store a version of a point that waits to be promoted, and return it with its number.

    It takes the place of one that waits already: that is retired.
    """
    versions = find_point(connection, new.id)
    known = () if versions is None else versions.all
    made = replace(
        new,
        version=len(known) + 1,
        state=PointState.PROPOSED,
        replaces=None,
        reason=done.reason,
        created_at=done.at,
        created_by=done.by,
    )
    revision = bump_revision(connection)
    if versions is not None and versions.proposed is not None:
        _change(connection, versions.proposed, revision, PointState.RETIRED)
    connection.execute(insert(points).values(_columns(made) | {"revision": revision}))
    _note(connection, made, PointStep.PROPOSE, done)
    return made


def promote(connection: Connection, versions: Versions, done: Done) -> OperatingPoint:
    """Make the version that waits the one that applies; the one that did is retired."""
    new, old = versions.proposed, versions.active
    if new is None:
        raise ValueError("nothing is proposed")
    revision = bump_revision(connection)
    if old is not None:
        _change(connection, old, revision, PointState.RETIRED)
    replaced = None if old is None else old.version
    _change(connection, new, revision, PointState.ACTIVE, replaces=replaced)
    _note(connection, new, PointStep.PROMOTE, done)
    return replace(new, state=PointState.ACTIVE, replaces=replaced)


def roll_back(connection: Connection, versions: Versions, done: Done) -> OperatingPoint:
    """Retire the version that applies, and return the one that is in its place again.

    If none was before it, it is returned itself, retired.
    """
    old = versions.active
    if old is None:
        raise ValueError("nothing is active")
    revision = bump_revision(connection)
    _change(connection, old, revision, PointState.RETIRED)
    if old.replaces is None:
        _note(connection, old, PointStep.ROLLBACK, done)
        return replace(old, state=PointState.RETIRED)
    before = versions.numbered(old.replaces)
    _change(connection, before, revision, PointState.ACTIVE)
    _note(connection, before, PointStep.ROLLBACK, done)
    return replace(before, state=PointState.ACTIVE)


def retire(connection: Connection, versions: Versions, done: Done) -> OperatingPoint:
    """Retire what of a point applies or waits, and return the version that did."""
    revision = bump_revision(connection)
    ended = [it for it in (versions.active, versions.proposed) if it is not None]
    for one in ended:
        _change(connection, one, revision, PointState.RETIRED)
    _note(connection, ended[0], PointStep.RETIRE, done)
    return replace(ended[0], state=PointState.RETIRED)


def find_point(connection: Connection, id_: str) -> Versions | None:
    """Return all versions of a point; None: there is none of this id.

    Raises:
        Conflict: not all of them can be read by this version.
    """
    query = select(points).where(points.c.id == id_).order_by(points.c.version)
    rows = connection.execute(query).mappings().all()
    found = readable(rows)
    if len(found) < len(rows):
        raise Conflict(f"{id_} has versions of a newer Watchgate: change it with that.")
    return Versions(found) if found else None


def list_points(
    connection: Connection,
    states: Iterable[PointState],
    *,
    limit: int | None = None,
    after: Place | None = None,
) -> Sequence[OperatingPoint]:
    """Return the versions in one of these states, by id and version."""
    by = (points.c.id, points.c.version)
    query = select(points).where(points.c.state.in_(list(states))).order_by(*by)
    if limit is not None:
        query = query.limit(limit)
    if after is not None:
        query = query.where(tuple_(*by) > tuple_(*after))
    return readable(connection.execute(query).mappings().all())


def active_points(connection: Connection) -> Sequence[OperatingPoint]:
    """Return the points that apply, and those whose time is over."""
    return list_points(connection, [PointState.ACTIVE])


def history_of(connection: Connection, id_: str) -> Sequence[PointChange]:
    """Return what was done to a point, the first first."""
    query = select(point_changes).where(point_changes.c.point == id_)
    rows = connection.execute(query.order_by(point_changes.c.number)).mappings()
    return [PointChange(**(dict(row) | {"step": PointStep(row["step"])})) for row in rows]


def readable(rows: Sequence[RowMapping]) -> Sequence[OperatingPoint]:
    """Read rows, but for those with a category, say, that only a newer version knows."""
    found = []
    for row in rows:
        try:
            found.append(operating_point_of(row))
        except (ValueError, msgspec.MsgspecError):
            _log.error("%s/%s is of a newer version, and is not used", row["id"], row["version"])
    return found


def operating_point_of(row: RowMapping) -> OperatingPoint:
    """Read a row of the table."""
    fields = dict(row)
    scope = PointScope(
        fields.pop("tier"),
        frozenset(msgspec.json.decode(fields.pop("models"), type=list[str])),
        fields.pop("project"),
        fields.pop("surface"),
    )
    del fields["revision"]
    measured = fields.pop("measured")
    return OperatingPoint(
        **fields
        | {
            "category": Category(fields["category"]),
            "part": Part(fields["part"]),
            "state": PointState(fields["state"]),
            "scope": scope,
            "measured": measured and msgspec.json.decode(measured, type=ErrorRates),
        }
    )


def _columns(point: OperatingPoint) -> dict[str, object]:
    fields = {name: getattr(point, name) for name in points.columns.keys() if hasattr(point, name)}  # noqa: SIM118  (of columns)
    scope = asdict(point.scope) | {"models": _json(sorted(point.scope.models))}
    measured = None if point.measured is None else _json(point.measured)
    return fields | scope | {"measured": measured}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _change(
    connection: Connection,
    point: OperatingPoint,
    revision: int,
    state: PointState,
    **values: int | None,
) -> None:
    here = (points.c.id == point.id, points.c.version == point.version)
    changed = {"state": state, "revision": revision, **values}
    connection.execute(update(points).where(*here).values(changed))


def _note(connection: Connection, point: OperatingPoint, step: PointStep, done: Done) -> None:
    last = select(func.max(point_changes.c.number)).where(point_changes.c.point == point.id)
    number = (connection.execute(last).scalar() or 0) + 1
    values = {"point": point.id, "number": number, "version": point.version, "step": step}
    connection.execute(insert(point_changes).values(values | done._asdict()))
