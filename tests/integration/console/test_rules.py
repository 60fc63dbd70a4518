"""Rules and cursors come back as they went."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from service.console.fields import MAX_INTEGER
from service.console.limits import _id, _place_of
from service.console.rules import RulesFields, plain
from service.core.directory import NO_RULES, Rules, Scope
from service.core.surfaces import SURFACES
from service.store.limits import Place
from service.store.owners import rules_of, stored_rules

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
models = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,20}", fullmatch=True)
counts = st.none() | st.integers(1, MAX_INTEGER)
networks = st.sampled_from(["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"])


def some(items: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...] | None]:
    return st.none() | st.lists(items, min_size=1, max_size=4, unique=True).map(tuple)


rules = st.builds(
    Rules,
    models=some(models | st.just("*")),
    surfaces=some(st.sampled_from(list(SURFACES))),
    addresses=some(networks),
    tools=st.none() | st.booleans(),
    max_tokens=counts,
    max_choices=counts,
    max_prompt_bytes=counts,
)


@given(rules)
def test_rules_come_back_from_an_answer_and_from_the_store(given_rules: Rules) -> None:
    assert RulesFields.of(given_rules).over(NO_RULES) == given_rules
    assert rules_of(stored_rules(given_rules)) == given_rules
    assert msgspec.convert(plain(given_rules), Rules) == given_rules


@given(old=rules, new=rules)
def test_what_is_not_given_stays(old: Rules, new: Rules) -> None:
    given_fields = {name: it for name, it in plain(new).items() if name != "tools"}
    changed = RulesFields(**given_fields).over(old)
    for name in Rules.__struct_fields__:
        source = new if name in given_fields else old
        assert getattr(changed, name) == getattr(source, name)


@given(scope=st.sampled_from(Scope), subject=names, model=st.just("") | models)
def test_the_id_of_limits_leads_back_to_their_place(scope: Scope, subject: str, model: str) -> None:
    place = Place(scope, subject, "" if scope is Scope.MODEL else model)
    assert _place_of(_id(place)) == place


@given(models)
def test_so_does_the_id_of_limits_of_any_model(model: str) -> None:
    place = Place(Scope.MODEL, model, "")
    assert _place_of(_id(place)) == place
