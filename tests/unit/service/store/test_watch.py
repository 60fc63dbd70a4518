"""Effects, heartbeats and coverage gaps."""

from service.store import Store, revision
from service.store.coverage import Gap, close_gaps, count_gaps, open_gaps, prune_gaps
from service.store.effects import claim_effects, prune_effects
from service.store.heartbeats import Heartbeat, beat, forget_heartbeats, read_heartbeats

NOW = 1_000_000.0


def test_a_verdict_has_its_effect_once(store: Store) -> None:
    with store.begin() as connection:
        assert claim_effects(connection, [], NOW) == set()
        assert claim_effects(connection, ["v1", "v1", "v2"], NOW) == {"v1", "v2"}
        assert claim_effects(connection, ["v1", "v3"], NOW) == {"v3"}
        many = [f"w{number}" for number in range(3000)]
        assert claim_effects(connection, many, NOW) == set(many)


def test_old_effects_are_forgotten(store: Store) -> None:
    with store.begin() as connection:
        claim_effects(connection, ["v1"], NOW)
        claim_effects(connection, ["v2"], NOW + 10)
        assert prune_effects(connection, NOW + 10) == 1
        assert claim_effects(connection, ["v1", "v2"], NOW + 20) == {"v1"}


def test_gateways_learn_the_lag_from_the_latest_heartbeat(store: Store) -> None:
    before = revision(store)
    with store.begin() as connection:
        beat(connection, "screener-0", NOW, 5.0)
        beat(connection, "screener-0", NOW + 1, 2.0)
        beat(connection, "screener-1", NOW, 0.0)
        heartbeats = read_heartbeats(connection)
    assert heartbeats == {
        "screener-0": Heartbeat(NOW + 1, 2.0),
        "screener-1": Heartbeat(NOW, 0.0),
    }
    assert revision(store) == before


def test_silence_counts_as_lag() -> None:
    assert Heartbeat(NOW, 2.0).lag_at(NOW + 10) == 12.0
    assert Heartbeat(NOW, 2.0).lag_at(NOW - 10) == 2.0


def test_workers_that_are_gone_are_forgotten(store: Store) -> None:
    with store.begin() as connection:
        beat(connection, "screener-0", NOW, 0.0)
        beat(connection, "screener-1", NOW + 60, 0.0)
        assert forget_heartbeats(connection, NOW + 60) == 1
        assert set(read_heartbeats(connection)) == {"screener-1"}


def test_gaps_are_counted_until_they_are_closed(store: Store) -> None:
    gaps = [Gap("ex-1", "unscreened", "m"), Gap("ex-2", "unscreened", "m")]
    with store.begin() as connection:
        assert open_gaps(connection, gaps, NOW) == 2
        assert open_gaps(connection, [*gaps, Gap("ex-1", "unrecorded", "m")], NOW + 1) == 1
        assert count_gaps(connection) == {("m", "unscreened"): 2, ("m", "unrecorded"): 1}
        assert close_gaps(connection, "unscreened", ["ex-1", "ex-9"], NOW + 2) == 1
        assert close_gaps(connection, "unscreened", ["ex-1"], NOW + 3) == 0
        assert count_gaps(connection) == {("m", "unscreened"): 1, ("m", "unrecorded"): 1}


def test_only_closed_gaps_are_forgotten(store: Store) -> None:
    with store.begin() as connection:
        open_gaps(connection, [Gap("ex-1", "unscreened", "m"), Gap("ex-2", "unscreened", "m")], NOW)
        close_gaps(connection, "unscreened", ["ex-1"], NOW + 1)
        assert prune_gaps(connection, NOW + 1) == 0
        assert prune_gaps(connection, NOW + 2) == 1
        assert count_gaps(connection) == {("m", "unscreened"): 1}
