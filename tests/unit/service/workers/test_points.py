"""The points that a worker holds scores to: up to date, or the last that were known."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client import CollectorRegistry

from detectors.api import Category, Part
from service.core.points import OperatingPoint, PointSource
from service.core.screening import Point
from service.errors import StoreUnavailable
from service.store import Store
from service.store.points import Done, find_point, promote, propose, roll_back
from service.telemetry.metrics import Metrics
from service.workers.points import PointWatch
from service.workers.screener import Screener
from tests.real_parts.store import new_store
from tests.unit.service.workers.screening_parts import MemoryWriter, WordDetector, prompt

NOW: Final = 1_000_000.0
FIXED: Final = Point("of/settings", "words", Category.ANY, Part.PROMPT, 0.5, "page", frozenset())
POINT: Final = OperatingPoint("op_1", 0, "words", Category.ANY, Part.PROMPT, 0.9, "page")
OTHERS: Final[Sequence[dict[str, Any]]] = ({"tier": 2}, {"project": "lab"}, {"surface": "messages"})
DONE: Final = Done(NOW, "cli:a", "a test")


class Watched:
    """A watch with a clock that the test sets, and what it counted."""

    def __init__(self, store: Store) -> None:
        self.now = NOW
        self.counted: dict[tuple[PointSource, str], Sequence[str]] = {}
        self.watch = PointWatch(
            store,
            [FIXED],
            clock=lambda: self.now,
            count=lambda source, state, ids: self.counted.update({(source, state): ids}),
            can_apply=lambda point: point.detector == "words",
            poll_s=0.01,
        )

    @property
    def names(self) -> list[str]:
        return [f"{it.name}:{it.version}" for it in self.watch.current()]

    def look(self) -> list[str]:
        self.watch.look()
        return self.names


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = new_store(tmp_path / "store" / "watchgate.db")
    yield opened
    opened.close()


@pytest.fixture
def watched(store: Store) -> Watched:
    return Watched(store)


def set_point(store: Store, **changes: Any) -> None:  # noqa: ANN401
    point = replace(POINT, **changes)
    with store.begin() as connection:
        propose(connection, point, DONE)
        versions = find_point(connection, point.id)
        assert versions is not None
        promote(connection, versions, DONE)


def test_what_is_promoted_applies_beside_the_settings_until_it_is_rolled_back(
    store: Store, watched: Watched
) -> None:
    assert watched.look() == ["of/settings:0"]
    set_point(store)
    assert watched.look() == ["of/settings:0", "op_1:1"]
    with store.begin() as connection:
        versions = find_point(connection, "op_1")
        assert versions is not None
        roll_back(connection, versions, DONE)
    assert watched.look() == ["of/settings:0"]


def test_a_point_expires_by_the_clock_without_a_look(store: Store, watched: Watched) -> None:
    set_point(store, expires_at=NOW + 5)
    assert watched.look() == ["of/settings:0", "op_1:1"]
    watched.now = NOW + 5
    assert watched.names == ["of/settings:0"]
    assert watched.counted[PointSource.STORE, "expired"] == ["op_1"]


def test_points_of_a_detector_that_is_not_there_are_counted_as_ignored(
    store: Store, watched: Watched
) -> None:
    set_point(store)
    set_point(store, id="op_2", detector="gone")
    watched.look()
    of_store = {state: ids for (source, state), ids in watched.counted.items() if source == "store"}
    assert of_store == {"active": ["op_1"], "expired": [], "ignored": ["op_2"]}
    assert watched.counted[PointSource.SETTINGS, "active"] == ["of/settings"]


def test_a_store_that_is_away_leaves_the_last_that_were_known_and_is_told_once(
    store: Store, watched: Watched, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    set_point(store)
    watched.look()
    folder = tmp_path / "store"
    folder.rename(tmp_path / "aside")
    with caplog.at_level(logging.WARNING):
        assert watched.look() == watched.look() == ["of/settings:0", "op_1:1"]
        (tmp_path / "aside").rename(folder)
        set_point(store, threshold=0.8)
        assert watched.look() == ["of/settings:0", "op_1:2"]
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert said[0].endswith("the last that are known apply")
    assert said[1] == "the operating points are up to date again"


def test_before_the_store_was_heard_of_nothing_can_be_judged(tmp_path: Path) -> None:
    watched = Watched(Store(f"sqlite:///{tmp_path}/away/watchgate.db"))
    watched.watch.look()
    with pytest.raises(StoreUnavailable, match="not known yet"):
        watched.watch.current()
    opened = new_store(tmp_path / "away" / "watchgate.db")
    assert watched.look() == ["of/settings:0"]
    opened.close()


def test_it_looks_by_itself_until_told_to_stop(store: Store, watched: Watched) -> None:
    watched.look()
    stop = threading.Event()
    thread = threading.Thread(target=watched.watch.run, args=(stop,))
    thread.start()
    set_point(store)
    deadline = time.monotonic() + 10
    while "op_1:1" not in watched.names:
        assert time.monotonic() < deadline
    stop.set()
    thread.join()


def screener(points: Callable[[], Sequence[Point]], writer: MemoryWriter) -> Screener:
    metrics = Metrics(CollectorRegistry())
    return Screener([WordDetector()], points, writer, metrics, clock=lambda: NOW)


def test_a_verdict_names_the_point_with_its_version_and_only_within_its_scope() -> None:
    here = replace(FIXED, name="op_1", version=3, tier=1, project="acme", surface="chat")
    others = [replace(FIXED, name="op_2", **scope) for scope in OTHERS]
    writer = MemoryWriter()
    screener(lambda: [here, *others], writer).handle([prompt("a bad question")])
    (verdict,) = writer.verdicts
    assert [(it.point, it.version) for it in verdict.crossed] == [("op_1", 3)]


def test_a_screener_that_knows_no_points_waits_and_writes_no_verdict(tmp_path: Path) -> None:
    watched = Watched(Store(f"sqlite:///{tmp_path}/away/watchgate.db"))
    watched.watch.look()
    writer = MemoryWriter()
    waiting = screener(watched.watch.current, writer)
    with pytest.raises(StoreUnavailable):
        waiting.handle([prompt("a bad question")])
    assert StoreUnavailable in waiting.transient
    assert writer.verdicts == []


def test_no_score_is_held_to_a_point_that_is_told_as_ignored(
    store: Store, watched: Watched
) -> None:
    set_point(store)
    set_point(store, id="op_2", detector="a-shadow")
    assert watched.look() == ["of/settings:0", "op_1:1"]
    assert watched.counted[PointSource.STORE, "ignored"] == ["op_2"]
