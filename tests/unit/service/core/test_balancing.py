"""Which replica takes a request, and when one is left out."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.balancing import (
    HEALTHY,
    EjectionPolicy,
    Fault,
    Health,
    ReplicaState,
    answered,
    checked,
    choose,
    completed,
    digest,
    failed,
    tried,
)

POLICY = EjectionPolicy(after_failures=3, first_s=1.0, longest_s=8.0)
NOW = 100.0
FAULTS = st.sampled_from(Fault)
AFFINITIES = st.none() | st.integers(0, 2**32 - 1)


def replica(number: int, in_flight: int = 0, health: Health = HEALTHY) -> ReplicaState:
    return ReplicaState(digest(b"replica-%d:8000" % number), in_flight, health)


def ejected(until: float, failed_at: float = 0.0) -> Health:
    return Health(3, 1, until, failed_at=failed_at, fault=Fault.UNREACHABLE)


HEALTHS = st.builds(ejected, st.floats(0, 200), st.floats(0, 100)) | st.just(HEALTHY)
REPLICAS = st.lists(st.tuples(st.integers(0, 50), HEALTHS), min_size=1, max_size=6).map(
    lambda them: [replica(number, *one) for number, one in enumerate(them)]
)


def chosen(
    replicas: Sequence[ReplicaState],
    affinity: int | None = None,
    *,
    tie: int = 0,
    slack: int = 4,
    without: int | None = None,
) -> int:
    return choose(replicas, NOW, affinity=affinity, tie=tie, slack=slack, without=without)


def is_up(one: ReplicaState) -> bool:
    return one.health.ejected_until <= NOW


# Choosing.


@given(REPLICAS, AFFINITIES, st.integers(0, 1000))
def test_an_ejected_replica_is_never_chosen_while_another_is_up(
    replicas: list[ReplicaState], affinity: int | None, tie: int
) -> None:
    if any(map(is_up, replicas)):
        assert is_up(replicas[chosen(replicas, affinity, tie=tie)])


@given(REPLICAS, AFFINITIES, st.integers(0, 1000))
def test_when_all_are_ejected_the_one_that_failed_least_recently_is_tried(
    replicas: list[ReplicaState], affinity: int | None, tie: int
) -> None:
    if not any(map(is_up, replicas)):
        one = replicas[chosen(replicas, affinity, tie=tie)]
        assert one.health.failed_at == min(it.health.failed_at for it in replicas)


@given(REPLICAS, AFFINITIES, st.data())
def test_a_replica_that_could_not_be_reached_is_not_chosen_again(
    replicas: list[ReplicaState], affinity: int | None, data: st.DataObject
) -> None:
    if len(replicas) > 1:
        first = data.draw(st.integers(0, len(replicas) - 1))
        assert chosen(replicas, affinity, without=first) != first


@given(REPLICAS, st.integers(0, 1000))
def test_without_affinity_the_least_loaded_takes_it(replicas: list[ReplicaState], tie: int) -> None:
    up = [one for one in replicas if is_up(one)]
    if up:
        one = replicas[chosen(replicas, tie=tie)]
        assert one.in_flight == min(it.in_flight for it in up)


def test_equally_loaded_replicas_take_turns_by_the_argument() -> None:
    replicas = [replica(number) for number in range(3)]
    assert [chosen(replicas, tie=tie) for tie in range(5)] == [0, 1, 2, 0, 1]


@given(REPLICAS, st.integers(0, 2**32 - 1), st.integers(1, 10))
def test_affinity_brings_no_replica_over_the_bound(
    replicas: list[ReplicaState], affinity: int, slack: int
) -> None:
    up = [one for one in replicas if is_up(one)]
    if up:
        one = replicas[chosen(replicas, affinity, slack=slack)]
        assert one.in_flight + 1 <= min(it.in_flight for it in up) + slack


@given(st.lists(st.integers(0, 5), max_size=300), st.integers(1, 5))
def test_requests_with_few_beginnings_keep_all_replicas_loaded_alike(
    beginnings: list[int], slack: int
) -> None:
    replicas = [replica(number) for number in range(4)]
    for beginning in beginnings:
        replicas[chosen(replicas, digest(b"%d" % beginning), slack=slack)].in_flight += 1
        loads = [one.in_flight for one in replicas]
        assert max(loads) - min(loads) <= slack


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.data())
def test_when_a_replica_leaves_only_what_it_had_moves(
    affinity: int, count: int, data: st.DataObject
) -> None:
    replicas = [replica(number) for number in range(count + 1)]
    gone = data.draw(st.integers(0, count))
    before = chosen(replicas, affinity)
    replicas[gone].health = ejected(NOW + 1)
    after = chosen(replicas, affinity)
    assert after == before if before != gone else after != gone
    rest = [one for number, one in enumerate(replicas) if number != gone]
    assert rest[chosen(rest, affinity)] is replicas[after]


def test_beginnings_are_spread_evenly() -> None:
    replicas = [replica(number) for number in range(4)]
    shares = Counter(chosen(replicas, digest(b"beginning %d" % n)) for n in range(4000))
    assert all(850 < share < 1150 for share in shares.values())
    assert len(shares) == 4


def test_a_digest_is_32_bits_of_the_bytes_alone() -> None:
    data = b"You are a helpful assistant."
    assert digest(data) == digest(memoryview(data)) != digest(data[:-1])
    assert 0 <= digest(b"") < 2**32


# Ejecting.


def failing(times: int, health: Health = HEALTHY, fault: Fault = Fault.STATUS) -> Health:
    for _ in range(times):
        health = failed(health, fault, NOW, POLICY)
    return health


def test_a_replica_is_ejected_when_it_failed_so_often_in_a_row() -> None:
    assert not failing(2).ejections
    health = failing(3)
    assert (health.ejections, health.ejected_until) == (1, NOW + 1)


def test_a_good_end_begins_the_row_anew() -> None:
    assert completed(failing(2), NOW) is HEALTHY
    assert answered(failing(2), NOW) == failing(2)  # its end is yet to come


def test_each_further_ejection_takes_twice_as_long_up_to_the_bound() -> None:
    health, pauses, now = failing(3), [], NOW
    for _ in range(5):
        pauses.append(health.ejected_until - now)
        now = health.ejected_until
        health = failed(tried(health, now, POLICY), Fault.STATUS, now, POLICY)
    assert pauses == [1, 2, 4, 8, 8]


def test_after_any_number_of_ejections_the_bound_holds() -> None:
    health = Health(5000, 5000, NOW, failed_at=0.0, fault=Fault.HEALTH)
    assert failed(health, Fault.HEALTH, NOW, POLICY).ejected_until == NOW + 8


@given(st.lists(st.tuples(FAULTS, st.floats(0, 0.99)), max_size=20))
def test_what_else_fails_while_a_replica_is_ejected_does_not_prolong_that(
    more: list[tuple[Fault, float]],
) -> None:
    health = failing(3)
    for fault, later_s in more:
        health = failed(health, fault, NOW + later_s, POLICY)
    assert (health.ejections, health.ejected_until) == (1, NOW + 1)


def test_what_ends_well_while_a_replica_is_ejected_does_not_return_it() -> None:
    health = failing(3)
    assert completed(health, NOW + 0.5) is answered(health, NOW + 0.5) is health


def test_one_request_is_the_trial_and_no_other_is_sent_meanwhile() -> None:
    health = tried(failing(3), NOW + 1, POLICY)
    trying = [replica(0, health=health), replica(1)]
    later = NOW + 1.5
    assert choose(trying, later, affinity=None, tie=0, slack=1) == 1
    assert answered(health, later) is HEALTHY
    assert completed(health, later) is HEALTHY
    assert failed(health, Fault.STATUS, later, POLICY).ejected_until == later + 2


def test_a_trial_of_which_nothing_is_heard_is_followed_by_another() -> None:
    health = tried(failing(3), NOW + 1, POLICY)
    on_trial = [replica(0, health=health), replica(1, in_flight=1)]
    assert choose(on_trial, NOW + 2, affinity=None, tie=0, slack=1) == 0


@given(st.integers(0, 9))
def test_a_replica_that_is_up_is_never_on_trial(failures: int) -> None:
    health = failing(min(failures, 2))
    assert tried(health, NOW, POLICY) is health


@pytest.mark.parametrize("fault", Fault)
def test_health_returns_a_replica_if_what_failed_is_what_it_proves(fault: Fault) -> None:
    health = failing(3, fault=fault)
    returns = fault in {Fault.UNREACHABLE, Fault.HEALTH}
    assert checked(health) is (HEALTHY if returns else health)
