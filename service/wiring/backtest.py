"""A backtest from this machine: the recorded stream, the detectors and points that there are."""

from collections.abc import Sequence
from dataclasses import replace

from detectors.api import Detector
from service.core.backtest import Backtest, threshold_for
from service.core.screening import Point
from service.errors import WatchgateError
from service.settings import Settings
from service.store import Store
from service.store.points import Versions, active_points, find_point
from service.wiring.detectors import Detectors, detectors_of, parts_of
from service.wiring.parts import clock
from service.wiring.points import points_of
from service.wiring.recorded import Stretch, records
from service.workers.backtest import backtest, scores_of

_DAY_S = 86400.0


def stored_point(store: Store, id_: str, version: int | None) -> Point:
    """Return a version of a stored point: by default the one that waits, else the active one.

    Raises:
        WatchgateError: there is no such point, or no such version of it.
    """
    with store.read() as connection:
        versions = find_point(connection, id_)
    if versions is None:
        raise WatchgateError(f"there is no operating point {id_!r}: see `watchgate points list`")
    if version is None:
        return (versions.proposed or versions.active or versions.latest).to_point()
    return _numbered(versions, id_, version)


def _numbered(versions: Versions, id_: str, version: int) -> Point:
    if not 0 < version <= len(versions.all):
        raise WatchgateError(f"{id_} has the versions 1 to {len(versions.all)}, and no {version}")
    return versions.numbered(version).to_point()


def todays_points(settings: Settings, store: Store) -> list[Point]:
    """Return the points that apply now, of the settings and of the store."""
    with store.read() as connection:
        stored = [it.to_point() for it in active_points(connection)]
    return [it for it in (*points_of(settings), *stored) if clock() < it.expires_at]


def run(
    settings: Settings, store: Store, candidate: Point, stretch: Stretch, max_examples: int
) -> Backtest:
    """Hold a candidate to a stretch of the recorded stream.

    Raises:
        WatchgateError: nothing scores what the candidate is held to.
    """
    there_are = detectors_of(settings)
    _check(candidate, there_are)
    todays = todays_points(settings, store)
    with there_are.at_work() as detectors:
        _check_part(candidate, detectors)
        return backtest(records(settings, stretch), detectors, candidate, todays, max_examples)


def _check(candidate: Point, there_are: Detectors) -> None:
    """Refuse a candidate that could never fire: it would look as if all were well."""
    scored = there_are.categories.get(candidate.detector)
    if scored is None:
        known = ", ".join(sorted(there_are.categories))
        raise WatchgateError(f"there is no detector {candidate.detector!r}; there are: {known}")
    if candidate.category not in scored:
        gives = ", ".join(sorted(scored))
        raise WatchgateError(
            f"{candidate.detector} gives no scores for {candidate.category}, but for {gives}"
        )


def _check_part(candidate: Point, detectors: Sequence[Detector]) -> None:
    scored = parts_of(detectors).get(candidate.detector, frozenset())
    if candidate.part not in scored:
        made_for = ", ".join(sorted(scored))
        raise WatchgateError(
            f"{candidate.detector} does not score {candidate.part}s, but: {made_for}"
        )


def with_threshold(
    settings: Settings, candidate: Point, stretch: Stretch, alerts_per_day: float
) -> Point:
    """Return a candidate with the least threshold that fires no more often than that.

    Raises:
        WatchgateError: the stretch is too short to tell, or every threshold fires more often.
    """
    there_are = detectors_of(settings)
    _check(candidate, there_are)
    with there_are.at_work() as detectors:
        _check_part(candidate, detectors)
        scores, seconds = scores_of(records(settings, stretch), detectors, candidate)
    if seconds < _DAY_S:
        raise WatchgateError(
            f"the stretch has {seconds / 3600:.1f} hours: what a day brings takes at least a day"
        )
    try:
        threshold = threshold_for(scores, alerts_per_day * seconds / _DAY_S)
    except ValueError as why:
        raise WatchgateError(f"no threshold fires so seldom: {why}") from None
    return replace(candidate, threshold=threshold)
