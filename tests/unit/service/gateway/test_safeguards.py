"""Which models may be served, as the facts change; real store and journal, clocks of the test's."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from service.core.moments import Moment
from service.core.safeguards import SCREENER_SILENCE_S
from service.core.tiers import TIERS, staleness_bounds
from service.events.journal import Journal, Limits
from service.events.journal.groups import Group
from service.events.log import Durability, Position, Record, Topic
from service.gateway.balancer import Balancer
from service.gateway.exchange import ServedModel
from service.gateway.safeguards import (
    FACTS_S,
    AcknowledgementLag,
    SafeguardBoard,
    SafeguardWatch,
)
from service.gateway.store_watch import StoreWatch
from service.store import Store
from service.store.copy import LocalCopy
from service.store.heartbeats import beat
from service.telemetry.metrics import Metrics
from tests.real_parts.serving import until
from tests.real_parts.store import new_store

DAY_S, HOUR_S = 86_400.0, 3_600.0
RECORD = Record(Topic.EXCHANGES, b"p", "opened", "ex-1", b"{}")


class Probed:
    """What a watch asks of an upstream of two replicas, whose plugins are not there yet."""

    def __init__(self) -> None:
        self.probes: Probed | None = None
        self.engines = 0
        self.replicas = ("a", "b")

    def tell(self, engines: int) -> None:
        self.probes, self.engines = self, engines


def model_of(
    name: str, tier: int, upstream: Probed | None = None, *, probes_required: bool | None = None
) -> ServedModel:
    balancer = cast("Balancer", upstream)
    return ServedModel.of(name, "m", TIERS[tier], balancer, probes_required=probes_required)


class House:
    """A watch and all that it watches."""

    def __init__(self, folder: Path, journal: Journal, store: Store, *, kafka: bool) -> None:
        self.wall = 1_000_000.0
        self.now = 500.0
        self.store = store
        self.journal = journal
        self.group = Group(folder / "groups", "screener")
        self.registry = CollectorRegistry()
        metrics = Metrics(self.registry)
        models = {f"t{n}": model_of(f"t{n}", n) for n in (0, 1)}
        self.probed = Probed()
        for name, required in (("told", False), ("required", True)):
            models[name] = model_of(name, 0, self.probed, probes_required=required)
        self.board = SafeguardBoard(models, metrics, lambda: self.now)
        self.kafka = kafka
        self.metrics = metrics
        self.folder = folder
        self.watch = self.new_watch()

    def new_watch(self, unread_since: float | None = None) -> SafeguardWatch:
        self.store_watch = StoreWatch(
            self.store,
            lambda _: None,
            LocalCopy(self.folder / "copy", [b"p" * 32]),
            poll_s=1.0,
            clock=lambda: self.wall,
            ticks=lambda: self.now,
            moment=lambda: Moment(self.wall, "boot", self.now),
        )
        return SafeguardWatch(
            board=self.board,
            store=self.store_watch,
            journal=self.journal,
            group=self.group,
            unread_since=unread_since,
            screener_reads_kafka=self.kafka,
            staleness_bounds_s=staleness_bounds({}),
            metrics=self.metrics,
            clock=lambda: self.wall,
            ticks=lambda: self.now,
        )

    def passes(self, seconds: float) -> None:
        """Let time pass without a look."""
        self.wall += seconds
        self.now += seconds

    def why(self, model: str) -> str | None:
        """Look, and say why a model is not served."""
        self.store_watch.look()
        self.watch.check()
        return self.board.inactive(model, self.now)

    def shown(self, name: str, model: str, safeguard: str) -> float | None:
        labels = {"model": model, "safeguard": safeguard}
        return self.registry.get_sample_value(f"watchgate_safeguard_{name}", labels)

    def lose_the_store(self) -> None:
        with self.store.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE meta RENAME TO gone")

    def find_the_store(self) -> None:
        with self.store.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE gone RENAME TO meta")

    def beat(self, at: float | None = None, lag_s: float = 0.0) -> None:
        with self.store.begin() as connection:
            beat(connection, "screener", self.wall if at is None else at, lag_s)

    def append(self) -> int:
        written = self.journal.written
        self.journal.append(RECORD, Durability.WRITTEN)
        until(lambda: self.journal.written > written)
        return self.journal.written

    def acknowledge(self, offset: int) -> None:
        self.group.save({self.journal.log: Position(self.journal.log, 1, offset)})


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., House]]:
    limits = Limits(reserve_bytes=2**20)
    with (
        closing(Journal(tmp_path / "gateway-0", limits=limits)) as journal,
        closing(new_store(tmp_path / "store.db")) as store,
    ):
        yield lambda *, kafka=False: House(tmp_path, journal, store, kafka=kafka)


def test_nothing_is_served_before_the_first_look(make: Callable[..., House]) -> None:
    house = make()
    assert house.board.inactive("t0", house.now) is not None
    assert not house.board.any_served()
    assert house.why("t0") is None
    assert house.board.any_served()


def test_the_room_for_the_journal_is_shown_as_shares(make: Callable[..., House]) -> None:
    house = make()
    house.append()
    house.watch.check()
    used, free = (
        house.registry.get_sample_value(f"watchgate_journal_{name}_ratio", {"role": "gateway"})
        for name in ("used", "disk_free")
    )
    assert used == pytest.approx(house.journal.used_share)
    assert free == house.journal.disk_free
    assert 0 < house.journal.used_share < 1
    assert 0 <= house.journal.disk_free <= 1


def test_nothing_is_served_on_the_word_of_a_watch_that_has_stopped(
    make: Callable[..., House],
) -> None:
    house = make()
    assert house.why("t0") is None
    house.passes(FACTS_S - 1)
    assert house.board.inactive("t0", house.now) is None
    house.passes(2)
    assert house.board.inactive("t0", house.now) is not None
    assert [model for model, _ in house.board.reasons()] == ["t0", "t1", "told", "required"]


def test_tier_1_needs_a_screener_that_lives_and_tier_0_does_not(
    make: Callable[..., House],
) -> None:
    house = make()
    assert "prompt_screen" in (house.why("t1") or "")
    house.beat()
    assert house.why("t1") is None
    house.passes(SCREENER_SILENCE_S + 1)
    assert "last heard of 61 s ago" in (house.why("t1") or "")
    assert house.why("t0") is None
    house.beat()
    assert house.why("t1") is None


def test_a_beat_of_long_ago_is_no_sign_of_life_at_the_start(make: Callable[..., House]) -> None:
    house = make()
    house.beat(at=house.wall - SCREENER_SILENCE_S - 1)
    assert house.why("t1") is not None


def test_a_clock_that_is_set_back_hides_no_silence(make: Callable[..., House]) -> None:
    house = make()
    house.beat()
    assert house.why("t1") is None
    house.passes(SCREENER_SILENCE_S + 1)
    house.wall -= 3600
    assert house.why("t1") is not None
    house.watch = house.new_watch()
    assert house.why("t1") is not None  # a beat from the future is no better to one who starts


def test_a_store_that_is_away_stops_each_tier_once_its_word_is_too_old(
    make: Callable[..., House],
) -> None:
    house = make()
    house.beat()
    assert house.why("t1") is None
    house.lose_the_store()
    house.passes(HOUR_S)
    assert house.why("t1") is None
    assert house.registry.get_sample_value("watchgate_snapshot_age_seconds") == HOUR_S
    house.passes(1)
    assert house.why("t1") == (
        "The safeguard 'store' is not active: "
        "the store was last heard of 3601 s ago, over the tier's 3600 s."
    )
    house.passes(DAY_S - HOUR_S - 1)
    assert house.why("t0") is None
    house.passes(1)
    assert "'store'" in (house.why("t0") or "")
    house.find_the_store()
    assert house.why("t0") is None


def test_a_store_that_was_never_heard_of_proves_nothing(make: Callable[..., House]) -> None:
    house = make()
    house.lose_the_store()
    assert "'authentication' is not active: the store has not been read yet" in (
        house.why("t0") or ""
    )


def test_a_screener_that_was_silent_before_the_store_went_away_is_silent(
    make: Callable[..., House],
) -> None:
    house = make()
    house.beat()
    assert house.why("t1") is None
    house.passes(SCREENER_SILENCE_S + 1)
    assert house.why("t1") is not None
    house.lose_the_store()
    house.passes(1)
    assert "prompt_screen" in (house.why("t1") or "")


def test_a_screener_that_dies_while_the_store_is_away_shows_by_its_lag(
    make: Callable[..., House],
) -> None:
    house = make()
    house.beat()
    assert house.why("t1") is None
    house.lose_the_store()
    house.append()
    assert house.why("t1") is None
    house.passes(301)
    assert "screening_lag" in (house.why("t1") or "")


def test_over_kafka_nothing_is_known_of_the_screening_while_the_store_is_away(
    make: Callable[..., House],
) -> None:
    house = make(kafka=True)
    house.beat()
    assert house.why("t1") is None
    house.lose_the_store()
    house.passes(300)
    assert house.why("t1") is None
    house.passes(1)
    assert "screening_lag" in (house.why("t1") or "")


def test_a_gateway_that_starts_while_the_store_is_away_knows_what_the_last_one_did(
    make: Callable[..., House],
) -> None:
    house = make()
    house.beat()
    house.passes(10)
    assert house.why("t1") is None
    house.lose_the_store()
    house.passes(HOUR_S - 1)
    house.watch = house.new_watch()
    house.store_watch.open()
    assert house.why("t1") is None
    house.passes(2)
    assert "last heard of 3601 s ago" in (house.why("t1") or "")
    house.find_the_store()
    assert "'prompt_screen' is not active: the screener was last heard of 3611 s ago" in (
        house.why("t1") or ""
    )
    house.beat()
    assert house.why("t1") is None


def test_screening_that_is_late_stops_tier_1(make: Callable[..., House]) -> None:
    house = make()
    house.watch.check()
    first = house.append()
    house.beat()
    assert house.why("t1") is None
    for _ in range(6):
        house.passes(50)
        house.beat()
        assert house.why("t1") is None
    house.passes(1)
    assert "screening_lag" in (house.why("t1") or "")
    assert house.registry.get_sample_value("watchgate_screening_lag_seconds") == 301
    house.acknowledge(first)
    assert house.why("t1") is None
    assert house.why("t0") is None


def test_what_was_unread_at_the_start_is_as_old_as_its_oldest_record(
    make: Callable[..., House],
) -> None:
    house = make()
    last = house.append()
    house.watch = house.new_watch(unread_since=house.wall - 293)
    house.beat()
    assert house.why("t1") is None
    house.passes(8)
    house.beat()
    assert "301 s late" in (house.why("t1") or "")
    house.acknowledge(last)
    assert house.why("t1") is None


def test_over_kafka_the_screeners_own_lag_and_silence_count_too(
    make: Callable[..., House],
) -> None:
    house = make(kafka=True)
    house.beat(lag_s=290)
    assert house.why("t1") is None
    house.passes(11)
    assert "301 s late" in (house.why("t1") or "")


def test_a_journal_that_takes_nothing_stops_everything(make: Callable[..., House]) -> None:
    house = make()
    assert house.why("t0") is None
    house.journal.close()
    assert "evidence" in (house.why("t0") or "")
    assert house.shown("active", "t0", "evidence") == 0
    assert house.shown("required", "t0", "evidence") == 1


def test_probes_stop_only_the_models_whose_upstream_requires_them(
    make: Callable[..., House],
) -> None:
    house = make()
    assert "'probes' is not active: 0 of 2 replicas tell" in (house.why("required") or "")
    house.probed.tell(1)
    assert "'probes' is not active: 1 of 2 replicas tells" in (house.why("required") or "")
    assert house.why("told") is None
    assert house.why("t0") is None
    assert house.shown("active", "required", "probes") == 0
    assert house.shown("active", "told", "probes") == 0
    house.probed.tell(2)
    assert house.why("required") is None
    assert house.shown("active", "required", "probes") == 1
    assert house.shown("active", "told", "probes") == 1
    house.probed.tell(0)
    assert house.why("required") is not None


def test_probes_are_shown_for_models_whose_upstream_has_some(make: Callable[..., House]) -> None:
    house = make()
    house.watch.check()
    assert house.shown("required", "required", "probes") == 1
    assert house.shown("required", "told", "probes") == 0
    assert house.shown("active", "t0", "probes") is None
    assert house.shown("required", "t0", "probes") is None


def test_lag_is_of_the_oldest_record_that_nobody_has_acknowledged(
    make: Callable[..., House],
) -> None:
    house = make()
    lag = AcknowledgementLag(house.journal, house.group, None)
    assert lag.seconds(0) == 0
    first = house.append()
    assert lag.seconds(10) == 0
    house.append()
    assert lag.seconds(12) == 2
    house.acknowledge(first)
    assert lag.seconds(13) == 1
