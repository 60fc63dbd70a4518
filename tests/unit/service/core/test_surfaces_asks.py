"""What a request asks for, and its end user."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.surfaces import SURFACES
from service.core.surfaces.asks import Ask, ask_of, end_user_of
from service.core.surfaces.shape import Request, parse, to_upstream
from service.errors import InvalidRequest

CHAT, COMPLETIONS, MESSAGES = (SURFACES[name] for name in ("chat", "completions", "messages"))


def request(**fields: Any) -> Request:  # noqa: ANN401  (any JSON)
    return parse(json.dumps({"model": "m", **fields}).encode())


@pytest.mark.parametrize(
    ("surface", "fields", "max_tokens", "choices"),
    [
        ("chat", {}, None, 1),
        ("chat", {"max_tokens": 7}, 7, 1),
        ("chat", {"max_tokens": 7, "max_completion_tokens": 9}, 9, 1),
        ("chat", {"max_tokens": None, "n": 3}, None, 3),
        ("chat", {"max_tokens": -5, "n": None}, 0, 1),
        ("completions", {}, 16, 1),
        ("completions", {"max_tokens": None}, None, 1),
        ("completions", {"prompt": ["a", "b"], "n": 3, "best_of": 4}, 16, 8),
        ("completions", {"prompt": [], "max_tokens": 5}, 5, 1),
        ("completions", {"prompt": "[a]"}, 16, 1),
        ("responses", {"max_output_tokens": 11}, 11, 1),
        ("messages", {"max_tokens": 12}, 12, 1),
        ("count_tokens", {}, 0, 0),
        ("embeddings", {"input": ["a", "b"]}, 0, 0),
    ],
)
def test_how_many_tokens_a_request_asks_for(
    surface: str, fields: dict[str, Any], max_tokens: int | None, choices: int
) -> None:
    asked = request(**fields)
    assert ask_of(asked, SURFACES[surface]) == Ask(len(asked.body), max_tokens, choices)


@pytest.mark.parametrize(
    ("fields", "tools"),
    [
        ({"tools": [{"type": "function"}]}, True),
        ({"functions": [{"name": "f"}]}, True),
        ({"tools": []}, False),
        ({"tools": None}, False),
        ({}, False),
    ],
)
def test_whether_a_request_brings_tools(fields: dict[str, Any], tools: bool) -> None:
    assert ask_of(request(**fields), CHAT).tools is tools


@pytest.mark.parametrize("wrong", ["7", 7.5, True, [7], {}])
def test_a_bound_that_is_no_integer_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidRequest, match="'max_tokens' must be an integer"):
        ask_of(request(max_tokens=wrong), CHAT)


@pytest.mark.parametrize(
    ("surface", "fields", "header", "end_user"),
    [
        ("chat", {}, None, None),
        ("chat", {"safety_identifier": "a", "user": "b"}, b"c", "a"),
        ("chat", {"user": "b"}, b"c", "b"),
        ("chat", {"user": None}, b" c ", "c"),
        ("chat", {"metadata": {"user_id": "a"}}, None, None),
        ("messages", {"metadata": {"user_id": "a"}, "user": "b"}, None, "a"),
        ("messages", {"metadata": {}}, b"c", "c"),
        ("messages", {"metadata": None}, None, None),
        ("count_tokens", {"user": "b"}, b"c", "c"),
        ("embeddings", {"user": "b"}, None, "b"),
        ("responses", {"safety_identifier": "a"}, None, "a"),
    ],
)
def test_where_a_request_names_its_end_user(
    surface: str, fields: dict[str, Any], header: bytes | None, end_user: str | None
) -> None:
    assert end_user_of(request(**fields).fields, SURFACES[surface], header) == end_user


@pytest.mark.parametrize("wrong", ["", "x" * 2049, 7, ["a"], {"a": 1}])
def test_an_end_user_that_is_no_usable_text_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidRequest) as refused:
        end_user_of(request(user=wrong).fields, CHAT, None)
    assert refused.value.param == "user"


def test_metadata_that_is_no_object_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="'metadata' must be an object"):
        end_user_of(request(metadata=[1]).fields, MESSAGES, None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.text(max_size=5), json_values), st.integers(1, 10**6))
def test_a_bound_that_rules_set_is_all_that_is_added(
    fields: dict[str, Any], max_tokens: int
) -> None:
    asked = request(**fields | {"model": "m", "stream": False})
    sent = json.loads(to_upstream(asked, CHAT, "m", max_tokens))
    assert sent == json.loads(asked.body) | {"max_tokens": max_tokens}


def test_a_bound_that_was_null_is_set_once() -> None:
    sent = to_upstream(request(max_tokens=None), CHAT, "m", 5)
    assert sent.count(b"max_tokens") == 1
    assert json.loads(sent)["max_tokens"] == 5


def test_each_surface_that_answers_with_text_says_where_it_is_bounded() -> None:
    unbounded = {name for name, it in SURFACES.items() if not it.max_tokens_fields}
    assert unbounded == {"count_tokens", "embeddings"}
    assert COMPLETIONS.max_tokens_default == 16
