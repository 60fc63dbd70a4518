"""Answers under way end with the right to them, whenever that goes."""

from dataclasses import replace
from typing import cast

import pytest

from service.core.callers import Caller
from service.core.directory import KnownKey, Organisation, Project, Snapshot, Standing
from service.core.surfaces import SURFACES
from service.core.surfaces.shape import parse
from service.core.tiers import TIERS
from service.errors import AccountSuspended, InvalidApiKey, Refusal
from service.gateway.balancer import Balancer
from service.gateway.exchange import Exchange, ExchangeIds, ServedModel
from service.gateway.open_answers import OpenAnswers
from service.gateway.passage import Passage

DIGEST = b"d" * 32
IDS = ExchangeIds("0" * 16)
CALLER = Caller("key_1", "search", account="search")
GOOD = Snapshot(
    keys={DIGEST: KnownKey("key_1", "search", expires_at=100.0)},
    organisations={"default": Organisation("default")},
    projects={"search": Project("search")},
)
REVOKED = replace(GOOD, keys={DIGEST: KnownKey("key_1", "search", revoked_at=1.0)})
SUSPENDED = replace(GOOD, standings={"search": Standing.SUSPENDED})
DISABLED = replace(GOOD, projects={"search": Project("search", disabled=True)})
ENDS = [(REVOKED, InvalidApiKey), (SUSPENDED, AccountSuspended), (DISABLED, InvalidApiKey)]


class Noting:
    """Stands for a passage, and notes why it was ended."""

    def __init__(self) -> None:
        self.errors: list[Refusal] = []

    def revoke(self, error: Refusal) -> None:
        self.errors.append(error)


def exchange(tier: int = 2, caller: Caller = CALLER) -> Exchange:
    surface = SURFACES["chat"]
    return Exchange(
        id=IDS.next(),
        ids=IDS,
        received_at=0.0,
        started=0.0,
        caller=caller,
        surface=surface,
        model=ServedModel.of("m", "m", TIERS[tier], cast("Balancer", None)),
        request=parse(b'{"model":"m","messages":[]}'),
        caller_request_id=None,
        traceparent=None,
        reader=surface.answer_reader(),
    )


def begun(answers: OpenAnswers, of: Exchange, proof: object = (DIGEST,)) -> Noting:
    passage = Noting()
    answers.begin(cast("Passage", passage), of, proof)  # type: ignore[arg-type]
    return passage


def answers(snapshot: Snapshot = GOOD, now: float = 0.0) -> OpenAnswers:
    made = OpenAnswers(lambda: now)
    made.use(snapshot)
    return made


@pytest.mark.parametrize(("after", "kind"), ENDS)
def test_an_answer_under_way_ends_with_the_right_to_it(
    after: Snapshot, kind: type[Refusal]
) -> None:
    known = answers()
    passage = begun(known, exchange())
    known.use(GOOD)
    assert passage.errors == []
    known.use(after)
    assert [type(error) for error in passage.errors] == [kind]


@pytest.mark.parametrize(("after", "kind"), ENDS)
def test_an_answer_does_not_begin_once_the_right_to_it_is_gone(
    after: Snapshot, kind: type[Refusal]
) -> None:
    with pytest.raises(kind):
        begun(answers(after), exchange())


def test_an_answer_that_has_ended_is_left_alone() -> None:
    known, of = answers(), exchange()
    passage = begun(known, of)
    known.end(of.id)
    known.end(of.id)
    known.use(REVOKED)
    assert passage.errors == []


def test_answers_of_models_that_do_not_end_them_go_on() -> None:
    known = answers(REVOKED)
    passage = begun(known, exchange(tier=1))
    known.use(SUSPENDED)
    assert passage.errors == []


def test_a_key_that_expires_or_is_digested_anew_lets_its_answer_go_on() -> None:
    known = answers(now=200.0)
    passage = begun(known, exchange())
    known.use(replace(GOOD, keys={b"n" * 32: GOOD.keys[DIGEST]}))
    assert passage.errors == []


def test_a_key_that_was_digested_anew_is_still_known_by_its_other_digest() -> None:
    known = answers()
    passage = begun(known, exchange(), (b"n" * 32, DIGEST))
    known.use(replace(REVOKED, keys={b"n" * 32: REVOKED.keys[DIGEST]}))
    assert [type(error) for error in passage.errors] == [InvalidApiKey]


def test_only_the_end_user_that_is_suspended_is_cut_off() -> None:
    known = answers()
    alice, bob = (
        begun(known, exchange(caller=replace(CALLER, account=f"search/{name}")))
        for name in ("alice", "bob")
    )
    known.use(replace(GOOD, standings={"search/alice": Standing.SUSPENDED}))
    assert [type(error) for error in alice.errors] == [AccountSuspended]
    assert bob.errors == []
