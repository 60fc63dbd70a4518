"""Who may ask what: the decision table of docs/access.md, and what stands beside it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.docs_access import Case, cases, expected
from service.core.access import (
    Allow,
    Deny,
    EndUserProof,
    ModelTerms,
    Reason,
    Terms,
    authorise,
    standing_of,
    terms_of,
)
from service.core.addresses import Address, address_of
from service.core.callers import Caller
from service.core.directory import NO_RULES, Rules, Snapshot, Standing
from service.core.surfaces.asks import Ask
from service.core.tiers import TIERS

CALLER = Caller("key_1", "search", account="search")
MODEL = ModelTerms("llama", tier=1)
ASK = Ask(prompt_bytes=1000)


def decide(  # noqa: PLR0913  (what a decision is made of)
    *rules: Rules,
    caller: Caller = CALLER,
    model: ModelTerms = MODEL,
    standing: Standing = Standing.GOOD,
    surface: str = "chat",
    ask: Ask = ASK,
    end_user: EndUserProof | None = "named",
    source: Address | None = None,
) -> Allow | Deny:
    terms = terms_of(caller, model, rules or [NO_RULES])
    return authorise(terms, standing, surface, ask, end_user, source)


def reasons(decision: Allow | Deny) -> list[Reason]:
    return list(decision.reasons) if isinstance(decision, Deny) else []


def decided(case: Case) -> Reason | None:
    names = ("llama",) if case.model_is_listed else ("mistral",)
    surfaces = (case.surface,) if case.surface_is_listed else ()
    decision = decide(
        Rules(models=names, surfaces=surfaces),
        caller=replace(CALLER, entitlements=frozenset(case.entitlements)),
        model=ModelTerms("llama", case.tier, end_users=TIERS[case.tier].end_users),
        standing=case.standing,
        surface=case.surface,
        end_user=case.end_user,
    )
    return decision.reason if isinstance(decision, Deny) else None


def test_every_combination_is_decided_as_the_table_says() -> None:
    wrong = [case for case in cases() if decided(case) != expected(case)]
    assert wrong == []


def test_the_table_lets_some_pass_and_others_not() -> None:
    outcomes = {expected(case) for case in cases()}
    assert outcomes == {
        None, Reason.ACCOUNT_SUSPENDED, Reason.MODEL, Reason.ENTITLEMENT, Reason.SURFACE,
        Reason.END_USER,
    }  # fmt: skip


def test_without_rules_everything_but_adapters_may_be_used() -> None:
    assert decide() == Allow()
    assert reasons(decide(model=replace(MODEL, is_adapter=True))) == [Reason.ADAPTER]


@pytest.mark.parametrize(
    ("project", "key", "outcome"),
    [
        (None, None, [Reason.ADAPTER]),
        (("*",), None, [Reason.ADAPTER]),
        (("llama",), None, []),
        (None, ("llama", "*"), []),
        (("llama",), ("*",), [Reason.ADAPTER]),
        (("llama",), ("llama",), []),
        (("mistral",), ("llama",), [Reason.ADAPTER]),
    ],
)
def test_an_adapter_has_to_be_named_wherever_models_are_listed(
    project: tuple[str, ...] | None, key: tuple[str, ...] | None, outcome: list[Reason]
) -> None:
    adapter = replace(MODEL, is_adapter=True)
    assert reasons(decide(Rules(models=project), Rules(models=key), model=adapter)) == outcome


@pytest.mark.parametrize(
    ("project", "key", "outcome"),
    [
        (("*",), ("*",), []),
        (("llama", "mistral"), ("llama",), []),
        (("llama",), ("mistral",), [Reason.MODEL]),
        ((), None, [Reason.MODEL]),
    ],
)
def test_a_key_narrows_what_its_project_may_use(
    project: tuple[str, ...] | None, key: tuple[str, ...] | None, outcome: list[Reason]
) -> None:
    assert reasons(decide(Rules(models=project), Rules(models=key))) == outcome


def test_a_model_may_ask_for_entitlements_of_its_own() -> None:
    model = replace(MODEL, entitlements=frozenset({"biosecurity_course"}))
    entitled = replace(CALLER, entitlements=frozenset({"biosecurity_course", "other"}))
    assert reasons(decide(model=model)) == [Reason.ENTITLEMENT]
    assert terms_of(CALLER, model, []).missing == {"biosecurity_course"}
    assert decide(model=model, caller=entitled) == Allow()


@pytest.mark.parametrize(
    ("source", "outcome"),
    [
        ("10.1.2.3", []),
        ("::ffff:10.1.2.3", []),
        ("2001:db8::1", []),
        ("11.0.0.1", [Reason.ADDRESS]),
        ("2001:db9::1", [Reason.ADDRESS]),
        ("nonsense", [Reason.ADDRESS]),
    ],
)
def test_a_request_must_come_from_a_listed_network(source: str, outcome: list[Reason]) -> None:
    rules = Rules(addresses=("10.0.0.0/8", "2001:db8::/32"))
    assert reasons(decide(rules, source=address_of(source))) == outcome


def test_the_networks_of_project_and_key_must_both_hold_the_source() -> None:
    levels = [Rules(addresses=("10.0.0.0/8",)), Rules(addresses=("10.1.0.0/16",))]
    assert reasons(decide(*levels, source=address_of("10.2.0.1"))) == [Reason.ADDRESS]
    assert decide(*levels, source=address_of("10.1.0.1")) == Allow()


@pytest.mark.parametrize(
    ("rules", "ask", "outcome"),
    [
        (Rules(tools=False), Ask(10, tools=True), [Reason.TOOLS]),
        (Rules(tools=True), Ask(10, tools=True), []),
        (Rules(max_tokens=100), Ask(10, max_tokens=101), [Reason.MAX_TOKENS]),
        (Rules(max_tokens=100), Ask(10, max_tokens=100), []),
        (Rules(max_choices=2), Ask(10, choices=3), [Reason.CHOICES]),
        (Rules(max_prompt_bytes=9), Ask(10), [Reason.PROMPT]),
        (
            Rules(tools=False, max_tokens=1, max_choices=1, max_prompt_bytes=1),
            Ask(10, 10, 10, tools=True),
            [Reason.TOOLS, Reason.MAX_TOKENS, Reason.CHOICES, Reason.PROMPT],
        ),
    ],
)
def test_what_a_request_asks_for_is_capped(rules: Rules, ask: Ask, outcome: list[Reason]) -> None:
    assert reasons(decide(rules, ask=ask)) == outcome


def test_the_lowest_cap_counts() -> None:
    levels = [Rules(max_tokens=100), Rules(max_tokens=50)]
    assert terms_of(CALLER, MODEL, levels).max_tokens == 50
    assert reasons(decide(*levels, ask=Ask(10, max_tokens=51))) == [Reason.MAX_TOKENS]


def test_a_request_that_bounds_nothing_is_bounded_to_the_cap() -> None:
    assert decide(Rules(max_tokens=100)) == Allow(max_tokens=100)
    assert decide(Rules(max_tokens=100), ask=Ask(10, max_tokens=7)) == Allow()


def test_where_ids_are_signed_one_that_is_only_named_is_refused() -> None:
    model = replace(MODEL, end_users="signed")
    assert reasons(decide(model=model, end_user=None)) == [Reason.END_USER]
    assert reasons(decide(model=model, end_user="named")) == [Reason.END_USER_UNSIGNED]
    assert decide(model=model, end_user="signed") == Allow()


def test_all_that_speaks_against_a_request_is_kept_the_worst_first() -> None:
    decision = decide(
        Rules(models=(), surfaces=(), addresses=(), tools=False),
        standing=Standing.SUSPENDED,
        ask=Ask(10, tools=True),
    )
    assert reasons(decision) == [
        Reason.ACCOUNT_SUSPENDED, Reason.ADDRESS, Reason.MODEL, Reason.SURFACE, Reason.TOOLS,
    ]  # fmt: skip


@given(st.sampled_from(list(Standing)), st.sampled_from(list(Standing)))
def test_the_worse_standing_of_account_and_project_counts(user: Standing, own: Standing) -> None:
    standings = {"search/abc": user, "search": own}
    found = {it: rank for it, rank in standings.items() if rank is not Standing.GOOD}
    caller = replace(CALLER, account="search/abc")
    order = list(Standing)
    worse = max(user, own, key=order.index)
    assert standing_of(Snapshot(standings=found), caller) is worse


def test_another_users_standing_says_nothing() -> None:
    standings = {"search/abc": Standing.SUSPENDED}
    snapshot = Snapshot(standings=standings)
    assert standing_of(snapshot, CALLER) is Standing.GOOD
    assert standing_of(snapshot, replace(CALLER, account="search/abd")) is Standing.GOOD


def test_terms_without_caps_do_not_need_the_request() -> None:
    assert not Terms().bounds_request
    assert Terms(max_choices=1).bounds_request
    assert Terms(tools=False).bounds_request
