"""The life of a point in the store, and what of it reaches the gateways."""

import math
from dataclasses import replace
from typing import Final

import pytest

from detectors.api import Category, Part
from service.core.error_rates import ErrorRates, rate
from service.core.points import OperatingPoint, PointScope, PointState, PointStep
from service.core.screening import Point
from service.store import Store, load_snapshot, refresh, revision
from service.store.points import (
    NOT_RETIRED,
    Done,
    Place,
    Versions,
    active_points,
    find_point,
    history_of,
    list_points,
    promote,
    propose,
    retire,
    roll_back,
)

NOW: Final = 1_700_000_000.25
POINT: Final = OperatingPoint("op_a", 0, "lexical", Category.ANY, Part.PROMPT, 0.9, "block")
WHY: Final = Done(NOW, "cli:a", "ticket 4711")


def proposed(store: Store, threshold: float = 0.9, id_: str = "op_a") -> OperatingPoint:
    with store.begin() as connection:
        return propose(connection, replace(POINT, id=id_, threshold=threshold), WHY)


def promoted(store: Store, threshold: float = 0.9, id_: str = "op_a") -> OperatingPoint:
    proposed(store, threshold, id_)
    with store.begin() as connection:
        return promote(connection, versions_of(store, id_), WHY)


def versions_of(store: Store, id_: str = "op_a") -> Versions:
    with store.read() as connection:
        found = find_point(connection, id_)
    assert found is not None
    return found


def states(store: Store, id_: str = "op_a") -> list[PointState]:
    return [it.state for it in versions_of(store, id_).all]


def rolled_back(store: Store) -> OperatingPoint:
    with store.begin() as connection:
        return roll_back(connection, versions_of(store), WHY)


def steps(store: Store) -> list[tuple[PointStep, int]]:
    with store.read() as connection:
        return [(it.step, it.version) for it in history_of(connection, "op_a")]


def applied(store: Store) -> dict[str, Point]:
    """Return the points of a snapshot, which must be what one brought up to date holds."""
    return dict(load_snapshot(store, NOW).points)


def test_a_point_comes_back_as_it_was_proposed(store: Store) -> None:
    measured = ErrorRates(rate(4, 4000), rate(30, 100))
    wanted = replace(
        POINT,
        scope=PointScope(2, frozenset({"m", "n/x:7b"}), "search", "chat"),
        threshold=math.nextafter(0.9, 1),
        owner="security",
        expires_at=NOW + 0.125,
        measured=measured,
    )
    with store.begin() as connection:
        made = propose(connection, wanted, WHY)
    assert versions_of(store).all == [made]
    assert made == replace(
        wanted,
        version=1,
        state=PointState.PROPOSED,
        reason="ticket 4711",
        created_at=NOW,
        created_by="cli:a",
    )


def test_what_is_proposed_does_not_apply_until_it_is_promoted(store: Store) -> None:
    before = load_snapshot(store, NOW)
    proposed(store)
    newer = refresh(store, before, NOW)
    assert newer.points is before.points
    with store.begin() as connection:
        promote(connection, versions_of(store), WHY)
    last = refresh(store, newer, NOW)
    assert last == load_snapshot(store, NOW)
    point = last.points["op_a"]
    assert (point.name, point.version, point.threshold, point.blocks) == ("op_a", 1, 0.9, True)


def test_a_promoted_version_takes_the_place_of_the_one_before(store: Store) -> None:
    promoted(store, 0.9)
    first = load_snapshot(store, NOW)
    second = promoted(store, 0.8)
    assert (second.version, second.replaces) == (2, 1)
    assert states(store) == [PointState.RETIRED, PointState.ACTIVE]
    newer = refresh(store, first, NOW)
    assert newer == load_snapshot(store, NOW)
    assert (newer.points["op_a"].version, newer.points["op_a"].threshold) == (2, 0.8)
    assert first.points["op_a"].version == 1


def test_a_rollback_goes_back_step_by_step_and_at_last_to_nothing(store: Store) -> None:
    for threshold in (0.9, 0.8, 0.7):
        promoted(store, threshold)
    assert rolled_back(store).version == 2
    assert applied(store)["op_a"].threshold == 0.8
    assert rolled_back(store).version == 1
    last = load_snapshot(store, NOW)
    assert rolled_back(store).state is PointState.RETIRED
    assert refresh(store, last, NOW).points == applied(store) == {}
    assert states(store) == [PointState.RETIRED] * 3
    with pytest.raises(ValueError, match="nothing is active"):
        rolled_back(store)


def test_a_rollback_after_a_rollback_and_another_version_skips_what_was_undone(
    store: Store,
) -> None:
    promoted(store, 0.9)
    promoted(store, 0.8)
    rolled_back(store)
    assert promoted(store, 0.7).replaces == 1
    assert rolled_back(store).version == 1


def test_another_proposal_takes_the_place_of_the_one_that_waits(store: Store) -> None:
    proposed(store, 0.9)
    assert proposed(store, 0.8).version == 2
    assert states(store) == [PointState.RETIRED, PointState.PROPOSED]
    with store.begin() as connection:
        assert promote(connection, versions_of(store), WHY).version == 2
    with pytest.raises(ValueError, match="nothing is proposed"), store.begin() as connection:
        promote(connection, versions_of(store), WHY)


def test_what_is_retired_applies_no_more_and_nor_does_what_waited(store: Store) -> None:
    promoted(store)
    proposed(store, 0.5)
    before = load_snapshot(store, NOW)
    with store.begin() as connection:
        assert retire(connection, versions_of(store), WHY).version == 1
    assert states(store) == [PointState.RETIRED] * 2
    assert refresh(store, before, NOW).points == {}
    assert promoted(store, 0.4).replaces is None


def test_the_history_tells_who_did_what_when_and_why(store: Store) -> None:
    promoted(store, 0.9)
    promoted(store, 0.8)
    rolled_back(store)
    with store.begin() as connection:
        retire(connection, versions_of(store), Done(NOW + 1, "token:adm_1", "too loud"))
    assert steps(store) == [
        (PointStep.PROPOSE, 1),
        (PointStep.PROMOTE, 1),
        (PointStep.PROPOSE, 2),
        (PointStep.PROMOTE, 2),
        (PointStep.ROLLBACK, 1),
        (PointStep.RETIRE, 1),
    ]
    with store.read() as connection:
        last = history_of(connection, "op_a")[-1]
    assert (last.number, last.at, last.by, last.reason) == (6, NOW + 1, "token:adm_1", "too loud")


def test_each_change_raises_the_revision(store: Store) -> None:
    before = revision(store)
    promoted(store)
    rolled_back(store)
    assert revision(store) == before + 3


def test_points_are_listed_by_state_page_by_page(store: Store) -> None:
    for id_ in ("op_b", "op_c"):
        promoted(store, 0.9, id_)
    promoted(store, 0.9)
    proposed(store, 0.8)
    with store.read() as connection:
        assert [it.id for it in active_points(connection)] == ["op_a", "op_b", "op_c"]
        first = list_points(connection, NOT_RETIRED, limit=2)
        assert [(it.id, it.version) for it in first] == [("op_a", 1), ("op_a", 2)]
        rest = list_points(connection, NOT_RETIRED, limit=9, after=Place("op_a", 2))
        assert [it.id for it in rest] == ["op_b", "op_c"]
        assert list_points(connection, [PointState.RETIRED]) == []
        assert find_point(connection, "op_x") is None


def test_other_changes_leave_the_points_of_a_snapshot_the_same_object(store: Store) -> None:
    promoted(store)
    before = load_snapshot(store, NOW)
    proposed(store, 0.5)
    assert refresh(store, before, NOW).points is before.points
