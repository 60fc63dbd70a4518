"""Operating points: proposed by those who judge, promoted and taken back by those who operate."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any

from sqlalchemy import Connection

from service.console import projects
from service.console.fields import After, IdInPath, Limit
from service.console.office import Change, Office
from service.console.point_bodies import (
    Decision,
    NewPoint,
    NewVersion,
    Retirement,
    facts,
    view,
)
from service.console.routes import Route, Routes, Who
from service.console.views import PointChangeView, PointHistoryView, PointView
from service.core.callers import ID_ENTROPY_BYTES, make_id
from service.core.points import (
    OperatingPoint,
    PointSource,
    PointState,
    conflict,
    flaws,
    flaws_of_promotion,
)
from service.core.roles import Permission
from service.errors import Conflict, NotThere, Unacceptable
from service.store import points as stored
from service.store.points import NOT_RETIRED, Done, Place, Versions, find_point


class Points:
    """Shows operating points, and leads them through their life."""

    def __init__(self, office: Office) -> None:
        """Look nothing up yet."""
        self._office = office

    def routes(self) -> Routes:
        """Return what answers where."""
        suggest, write, one = Permission.PROPOSE_POINTS, Permission.WRITE_POINTS, "/points/{id}"
        return (
            Route("GET", "/points", Permission.READ, self.list),
            Route("POST", "/points", suggest, self.propose, 201, (404,)),
            Route("GET", one, Permission.READ, self.show, refusals=(404, 409)),
            Route("POST", f"{one}/propose", suggest, self.propose_version, 201, (404, 409)),
            Route("POST", f"{one}/promote", write, self.promote, refusals=(404, 409)),
            Route("POST", f"{one}/rollback", write, self.rollback, refusals=(404, 409)),
            Route("POST", f"{one}/retire", write, self.retire, refusals=(404, 409)),
        )

    def list(
        self, state: PointState | None = None, limit: Limit = 1000, after: After = None
    ) -> list[PointView]:
        """The points of the settings and those of the store: of one state, or all but retired."""
        states = NOT_RETIRED if state is None else (state,)
        behind, now = None if after is None else _place_of(after), self._office.clock()
        found = [*islice(self._fixed(states, behind), limit)]
        if len(found) < limit:
            in_store = behind if behind is not None and behind.version else None
            with self._office.read() as connection:
                room = limit - len(found)
                found += stored.list_points(connection, states, limit=room, after=in_store)
        return [view(it, now) for it in found]

    def show(self, id: IdInPath) -> PointHistoryView:  # noqa: A002  (its name in the path)
        """All versions of a point of the store, and what was done to it, by whom and why."""
        now = self._office.clock()
        with self._office.read() as connection:
            versions = find(connection, id)
            changes = stored.history_of(connection, id)
        told = [PointChangeView(**_without_point(asdict(it))) for it in changes]
        return PointHistoryView(
            id=id, versions=[view(it, now) for it in versions.all], changes=told
        )

    def propose(self, body: NewPoint, who: Who) -> PointView:
        """Propose a new point; it applies once it is promoted."""
        with self._office.change(who, body.reason) as change:
            if body.project is not None:
                projects.find(change.connection, body.project)
            id_ = make_id("op", secrets.token_bytes(ID_ENTROPY_BYTES))
            return self._propose(change, body.point(id_, who.actor, change.now), None)

    def propose_version(self, id: IdInPath, body: NewVersion, who: Who) -> PointView:  # noqa: A002
        """Propose a new version of a point, in place of one that waits already."""
        with self._office.change(who, body.reason) as change:
            versions = find(change.connection, id)
            old = versions.active or versions.latest
            return self._propose(change, body.over(old, change.now), old)

    def promote(self, id: IdInPath, body: Decision, who: Who) -> PointView:  # noqa: A002
        """Let the proposed version apply, in place of the one that did; within two seconds."""
        with self._office.change(who, body.reason) as change:
            versions = find(change.connection, id)
            new, old = versions.proposed, versions.active
            if new is None:
                if old is None:
                    raise Conflict(f"{id} is retired: propose a version of it first.")
                _check_version(old, body.version)
                return view(old, change.now)
            _check_version(new, body.version)
            self._check_promotion(change, new)
            made = stored.promote(change.connection, versions, _done(change))
            change.record("point.promote", f"point/{id}", _was(old), facts(made))
            return view(made, change.now)

    def rollback(self, id: IdInPath, body: Decision, who: Who) -> PointView:  # noqa: A002
        """Let the version apply again that the active one replaced, or none if none was before."""
        with self._office.change(who, body.reason) as change:
            versions = find(change.connection, id)
            old = versions.active
            if old is None:
                raise Conflict(f"{id} is not active: there is nothing to take back.")
            _check_version(old, body.version)
            if old.replaces is not None:
                self._check_alone(change, versions.numbered(old.replaces))
            now = stored.roll_back(change.connection, versions, _done(change))
            after = facts(now) if now.state is PointState.ACTIVE else None
            change.record("point.rollback", f"point/{id}", facts(old), after)
            return view(now, change.now)

    def retire(self, id: IdInPath, body: Retirement, who: Who) -> PointView:  # noqa: A002
        """End a point: what applies of it, and what is proposed."""
        with self._office.change(who, body.reason) as change:
            versions = find(change.connection, id)
            old = versions.active or versions.proposed
            if old is None:
                return view(versions.latest, change.now)
            made = stored.retire(change.connection, versions, _done(change))
            change.record("point.retire", f"point/{id}", _ended(versions, old))
            return view(made, change.now)

    def _propose(
        self, change: Change, new: OperatingPoint, old: OperatingPoint | None
    ) -> PointView:
        for flaw in flaws(new, self._office.points, change.now):
            raise Unacceptable(flaw.field, flaw.words)
        made = stored.propose(change.connection, new, _done(change))
        change.record("point.propose", f"point/{made.id}", _was(old), facts(made))
        return view(made, change.now)

    def _check_promotion(self, change: Change, new: OperatingPoint) -> None:
        """See that a point can do now what it could when it was proposed, and is alone."""
        for flaw in flaws_of_promotion(new, self._office.points, change.now):
            raise Conflict(f"{new.id} cannot be promoted as things stand now. {flaw.words}")
        self._check_alone(change, new)

    def _check_alone(self, change: Change, new: OperatingPoint) -> None:
        """See that no other active point differs in nothing but the threshold."""
        active = [*self._office.points.fixed, *stored.active_points(change.connection)]
        other = conflict(new, active, change.now)
        if other is not None:
            where = "in the settings" if other.source is PointSource.SETTINGS else "active"
            raise Conflict(
                f"{other.id!r}, which is {where}, has the same detector, category, part, scope "
                "and action: propose a version of that one, or take it away first."
            )

    def _fixed(self, states: Sequence[PointState], after: Place | None) -> Iterator[OperatingPoint]:
        """Yield the points of the settings, behind the one that a list ended with."""
        fixed = self._office.points.fixed
        if PointState.ACTIVE not in states or (after is not None and after.version):
            return
        ids = [it.id for it in fixed]
        start = 0 if after is None or after.id not in ids else ids.index(after.id) + 1
        yield from fixed[start:]


def find(connection: Connection, id_: str) -> Versions:
    """Return the versions of the point of this id.

    Raises:
        NotThere: there is none in the store.
    """
    found = find_point(connection, id_)
    if found is None:
        raise NotThere(f"no operating point of the store has the id {id_!r}")
    return found


def _check_version(point: OperatingPoint, expected: int | None) -> None:
    if expected is not None and point.version != expected:
        raise Conflict(f"{point.id} is at version {point.version} by now, and not {expected}.")


def _place_of(ref: str) -> Place:
    id_, _, version = ref.rpartition(":")
    if not id_ or not version.isascii() or not version.isdigit():
        raise Unacceptable("after", "Expected the ref of a point, as a list shows it.")
    return Place(id_, min(int(version), 2**31 - 1))


def _done(change: Change) -> Done:
    return Done(change.now, change.origin.by, change.reason or "")


def _was(point: OperatingPoint | None) -> dict[str, Any] | None:
    return None if point is None else facts(point)


def _ended(versions: Versions, old: OperatingPoint) -> dict[str, Any]:
    """Return the version that applies, or else the one that waits; with the other, if it does."""
    waiting = versions.proposed
    if waiting is None or waiting is old:
        return facts(old)
    return {**facts(old), "proposed": facts(waiting)}


def _without_point(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != "point"}
