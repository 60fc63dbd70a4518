"""The spelling under the chain: one for each entry, and another for any other entry."""

import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.audit import START, Action, Entry, Head, Link, follows, link

KEY = b"a key of the chain, long enough"
NOW = 1_764_229_343.123456

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
entries = st.builds(
    Entry,
    at=st.floats(0, 4e9),
    actor=texts,
    action=st.sampled_from(Action),
    object=texts,
    before=values,
    after=values,
    reason=st.none() | texts,
)
heads = st.builds(Head, st.integers(0, 2**31), st.binary(min_size=32, max_size=32))


KNOWN = Entry(NOW, "cli:ann", Action.KEY_REVOKE, "key/key_1")


def entry(**fields: Any) -> Entry:  # noqa: ANN401  (any field)
    return replace(KNOWN, **fields)


@given(entry=entries, head=heads)
def test_an_entry_follows_the_one_that_it_was_put_behind_and_no_other(
    entry: Entry, head: Head
) -> None:
    made = link(KEY, head, entry)
    assert made.seq == head.seq + 1
    assert follows(KEY, head.mac, made)
    assert not follows(KEY, bytes(32 - len(head.mac)) + head.mac[::-1] + b"x", made)
    assert not follows(KEY + b"x", head.mac, made)


@given(entry=entries, head=heads)
def test_the_mac_is_the_one_that_the_document_describes(entry: Entry, head: Head) -> None:
    made = link(KEY, head, entry)
    fields = [made.seq, made.at, *made[2:8]]
    spelled = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    if "e" not in repr(made.at):  # times of our days; Python spells others in another way
        plain = hmac.new(KEY, head.mac + spelled.encode(), hashlib.sha256).digest()
        assert made.mac == plain


@given(entry=entries, head=heads, data=st.data())
def test_no_field_can_be_another(entry: Entry, head: Head, data: st.DataObject) -> None:
    made = link(KEY, head, entry)
    name = data.draw(st.sampled_from(Link._fields))
    anything = st.none() | texts | st.integers() | st.floats() | st.binary(max_size=40)
    other: Any = data.draw(anything.filter(lambda it: not _is_same(it, getattr(made, name))))
    assert not follows(KEY, head.mac, made._replace(**{name: other}))


def _is_same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other


def test_bytes_do_not_pass_for_the_text_that_spells_them() -> None:
    """msgspec spells bytes as base64, and SQLite takes bytes for a text."""
    made = link(KEY, Head(), entry(actor="YWJj"))
    disguised: Any = b"abc"
    assert not follows(KEY, START, made._replace(actor=disguised))


def test_json_that_means_the_same_is_not_the_same() -> None:
    made = link(KEY, Head(), entry(after={"role": "viewer"}))
    assert made.after == '{"role":"viewer"}'
    for other in ('{"role": "viewer"}', '{"role":"admin","role":"viewer"}'):
        assert not follows(KEY, START, made._replace(after=other))


def test_values_are_spelled_in_one_order() -> None:
    made = link(KEY, Head(), entry(after={"b": 1, "a": (1, 2)}, before={"x": Action.KEY_CREATE}))
    assert (made.before, made.after) == ('{"x":"key.create"}', '{"a":[1,2],"b":1}')


def test_a_time_is_kept_to_the_microsecond_and_a_whole_one_is_a_number_with_a_point() -> None:
    assert link(KEY, Head(), entry(at=1_764_229_343.1234564)).at == NOW
    whole = link(KEY, Head(), entry(at=5))
    assert type(whole.at) is float


@pytest.mark.parametrize(
    "wrong",
    [
        {"at": float("nan")},
        {"at": float("inf")},
        {"reason": "a\0b"},
        {"object": "\0"},
        {"action": "key.steal"},
    ],
)
def test_what_cannot_be_kept_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"of an entry must|'key.steal' is not a valid Action"):
        link(KEY, Head(), entry(**wrong))


@pytest.mark.parametrize("wrong", [{"reason": "\ud800"}, {"after": {"\ud800": 1}}])
def test_half_a_surrogate_pair_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, msgspec.MsgspecError)):
        link(KEY, Head(), entry(**wrong))
