from dataclasses import replace
from itertools import pairwise

import pytest

from service.core.safeguards import (
    SCREENER_SILENCE_S,
    Facts,
    ProbesTold,
    Watched,
    inactive_safeguards,
)
from service.core.tiers import BUILT, TIERS, Safeguard, staleness_bounds, unbuilt_safeguards

ALL_WELL = Facts(
    journal_accepts=True,
    snapshot_age_s=0.5,
    staleness_bounds_s=staleness_bounds({}),
    screener_silent_s=1.0,
    screening_lag_s=0.2,
    probes={},
)


def inactive(tier: int, **facts: object) -> dict[Safeguard, str]:
    watched = Watched("m", tier)
    return dict(inactive_safeguards(watched, replace(ALL_WELL, **facts)))  # type: ignore[arg-type]


def why_no_probes(watched: Watched, **told: ProbesTold) -> str | None:
    found = dict(inactive_safeguards(watched, replace(ALL_WELL, probes=told)))
    return found.get(Safeguard.PROBES)


@pytest.mark.parametrize("tier", [0, 1, 2])
def test_with_all_well_a_tier_that_is_built_is_served(tier: int) -> None:
    assert inactive(tier) == {}
    assert unbuilt_safeguards(tier) == []


@pytest.mark.parametrize("tier", [3, 4])
def test_a_safeguard_that_this_version_lacks_is_inactive(tier: int) -> None:
    assert set(inactive(tier)) == TIERS[tier].requires - BUILT != frozenset()
    assert list(inactive(tier)) == unbuilt_safeguards(tier)


@pytest.mark.parametrize("tier", [0, 1])
def test_a_journal_that_takes_no_exchange_stops_every_tier(tier: int) -> None:
    assert list(inactive(tier, journal_accepts=False)) == [Safeguard.EVIDENCE]


@pytest.mark.parametrize(
    ("tier", "bound_s"), [(0, 86_400.0), (1, 3_600.0), (2, 300.0), (3, 60.0), (4, 60.0)]
)
def test_the_store_must_have_been_heard_of_within_the_tiers_bound(
    tier: int, bound_s: float
) -> None:
    assert TIERS[tier].max_store_staleness_s == bound_s
    assert Safeguard.STORE not in inactive(tier, snapshot_age_s=bound_s)
    assert Safeguard.STORE in inactive(tier, snapshot_age_s=bound_s + 0.1)
    assert Safeguard.AUTHENTICATION not in inactive(tier, snapshot_age_s=bound_s + 0.1)


def test_settings_change_the_bound_of_a_tier() -> None:
    bounds = staleness_bounds({1: 7.0})
    assert Safeguard.STORE not in inactive(1, snapshot_age_s=7.0, staleness_bounds_s=bounds)
    assert Safeguard.STORE in inactive(1, snapshot_age_s=7.1, staleness_bounds_s=bounds)
    assert inactive(0, snapshot_age_s=7.1, staleness_bounds_s=bounds) == {}


@pytest.mark.parametrize("tier", [0, 1])
def test_without_any_word_of_the_store_nobody_can_be_authenticated(tier: int) -> None:
    found = inactive(tier, snapshot_age_s=None)
    assert set(found) == {Safeguard.AUTHENTICATION, Safeguard.STORE}


@pytest.mark.parametrize(
    ("silent_s", "active"),
    [(None, False), (0.0, True), (SCREENER_SILENCE_S, True), (SCREENER_SILENCE_S + 0.1, False)],
)
def test_the_screens_need_a_screener_that_gives_signs_of_life(
    silent_s: float | None, active: bool
) -> None:
    screens = {Safeguard.PROMPT_SCREEN, Safeguard.ANSWER_SCREEN}
    assert set(inactive(1, screener_silent_s=silent_s)) == (set() if active else screens)
    assert inactive(0, screener_silent_s=silent_s) == {}


@pytest.mark.parametrize(
    ("tier", "lag_s", "active"),
    [(0, None, True), (0, 1e6, True), (1, None, False), (1, 300.0, True), (1, 300.1, False),
     (2, 60.0, True), (2, 60.1, False)],
)  # fmt: skip
def test_the_lag_of_the_screening_is_bounded_by_the_tier(
    tier: int, lag_s: float | None, active: bool
) -> None:
    assert (Safeguard.SCREENING_LAG not in inactive(tier, screening_lag_s=lag_s)) is active


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize(
    ("plugins", "replicas", "why"),
    [
        (0, 1, "0 of 1 replicas tell what their probes see"),
        (1, 2, "1 of 2 replicas tells what its probes see"),
        (2, 3, "2 of 3 replicas tell what their probes see"),
        (1, 1, None),
        (3, 2, None),
    ],
)
def test_probes_are_active_while_as_many_plugins_tell_as_there_are_replicas(
    plugins: int, replicas: int, required: bool, why: str | None
) -> None:
    watched = Watched("m", 0, probes_required=required)
    others = ProbesTold(9, 1)
    assert why_no_probes(watched, m=ProbesTold(plugins, replicas), n=others) == why


def test_probes_of_which_nothing_is_known_are_not_active() -> None:
    assert why_no_probes(Watched("m", 0, probes_required=True), n=ProbesTold(1, 1)) is not None


@pytest.mark.parametrize("tier", range(len(TIERS)))
def test_probes_are_required_and_shown_as_the_settings_of_the_upstream_say(tier: int) -> None:
    of_tier = TIERS[tier].requires
    assert Watched("m", tier).required == Watched("m", tier).shown == of_tier
    told, required = (Watched("m", tier, probes_required=it) for it in (False, True))
    assert told.required == of_tier
    assert required.required == told.shown == required.shown == of_tier | {Safeguard.PROBES}


def test_reasons_are_words_for_the_caller() -> None:
    for facts in (
        {"journal_accepts": False},
        {"snapshot_age_s": None},
        {"snapshot_age_s": 9999.0},
        {"screener_silent_s": None},
        {"screener_silent_s": 99.0},
        {"screening_lag_s": None},
        {"screening_lag_s": 999.0},
    ):
        for reason in inactive(1, **facts).values():
            assert reason
            assert not reason.endswith(".")
            assert "None" not in reason


def test_each_tier_requires_what_the_one_below_it_does() -> None:
    for lower, higher in pairwise(TIERS):
        assert lower.requires < higher.requires
