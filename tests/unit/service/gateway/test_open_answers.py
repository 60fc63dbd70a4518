"""Which answers under way end with a newer snapshot, and which do not begin."""

import json
from dataclasses import replace
from typing import cast

import pytest

from service.core.callers import Caller
from service.core.directory import KnownKey, Organisation, Project, Snapshot, Standing
from service.core.surfaces.chat import CHAT
from service.core.surfaces.shape import parse
from service.core.tiers import TIERS
from service.errors import AccountSuspended, InvalidApiKey, Refusal
from service.gateway.auth import Proof
from service.gateway.balancer import Balancer
from service.gateway.exchange import Exchange, ExchangeIds, ServedModel
from service.gateway.open_answers import OpenAnswers
from service.gateway.passage import Passage

OLD, NEW = b"old", b"new"
KEY = KnownKey("key_1", "search")
SNAPSHOT = Snapshot(
    revision=1,
    keys={OLD: KEY},
    organisations={"default": Organisation("default")},
    projects={"search": Project("search")},
)
REVOKED = replace(SNAPSHOT, keys={OLD: KnownKey("key_1", "search", revoked_at=1.0)})
GONE = replace(SNAPSHOT, keys={})
DISABLED = {"search": Project("search", disabled=True)}
EXPIRED = replace(SNAPSHOT, keys={OLD: KnownKey("key_1", "search", expires_at=1.0)})


class Ended:
    """In place of a passage: keeps why it was ended."""

    def __init__(self) -> None:
        self.why: Refusal | None = None

    def revoke(self, error: Refusal) -> None:
        self.why = error


def begin(answers: OpenAnswers, tier: int = 2, proof: Proof | None = (NEW, OLD)) -> Ended:
    ended = Ended()
    exchange = Exchange(
        id="ex-1", ids=ExchangeIds("0" * 16), received_at=0.0, started=0.0,
        caller=Caller("key_1", "search", "search/alice"), surface=CHAT,
        model=ServedModel.of("m", "m", TIERS[tier], cast("Balancer", None)),
        request=parse(json.dumps({"model": "m"}).encode()),
        caller_request_id=None, traceparent=None, reader=CHAT.answer_reader(),
    )  # fmt: skip
    answers.check(exchange.model, exchange.caller, proof)
    answers.begin(cast("Passage", ended), exchange, proof)
    return ended


def under_way(proof: Proof | None = (NEW, OLD)) -> tuple[OpenAnswers, Ended]:
    answers = OpenAnswers()
    answers.use(SNAPSHOT)
    return answers, begin(answers, proof=proof)


@pytest.mark.parametrize(
    "snapshot",
    [REVOKED, GONE, replace(SNAPSHOT, projects=DISABLED), replace(EXPIRED, projects=DISABLED)],
)
def test_an_answer_ends_with_the_right_of_its_key(snapshot: Snapshot) -> None:
    answers, ended = under_way()
    answers.use(snapshot)
    assert isinstance(ended.why, InvalidApiKey)


@pytest.mark.parametrize("snapshot", [SNAPSHOT, EXPIRED, replace(SNAPSHOT, keys={NEW: KEY})])
def test_an_answer_goes_on_with_a_key_that_expired_or_was_digested_anew(
    snapshot: Snapshot,
) -> None:
    answers, ended = under_way()
    answers.use(snapshot)
    assert ended.why is None


@pytest.mark.parametrize("projects", [DISABLED, {}])
def test_an_answer_to_a_token_ends_with_its_project(projects: dict[str, Project]) -> None:
    answers, ended = under_way(proof=None)
    answers.use(replace(SNAPSHOT, projects=projects))
    assert isinstance(ended.why, InvalidApiKey)


@pytest.mark.parametrize("account", ["search", "search/alice"])
def test_an_answer_ends_when_its_account_is_suspended(account: str) -> None:
    answers, ended = under_way()
    answers.use(replace(SNAPSHOT, standings={account: Standing.SUSPENDED}))
    assert isinstance(ended.why, AccountSuspended)


def test_an_answer_does_not_begin_if_its_right_ended_while_the_request_waited() -> None:
    answers = OpenAnswers()
    answers.use(SNAPSHOT)
    answers.use(REVOKED)
    with pytest.raises(InvalidApiKey):
        begin(answers)
    answers.use(replace(SNAPSHOT, standings={"search/alice": Standing.SUSPENDED}))
    with pytest.raises(AccountSuspended):
        begin(answers)


def test_an_answer_of_an_open_tier_goes_on() -> None:
    answers = OpenAnswers()
    answers.use(SNAPSHOT)
    ended = begin(answers, tier=1)
    answers.use(REVOKED)
    assert ended.why is None


def test_an_answer_that_has_ended_is_forgotten() -> None:
    answers, ended = under_way()
    answers.end("ex-1")
    answers.use(REVOKED)
    assert ended.why is None
