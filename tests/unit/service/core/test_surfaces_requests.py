from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.surfaces import BY_PATH, SURFACES
from service.core.surfaces.chat import CHAT
from service.core.surfaces.completions import COMPLETIONS
from service.core.surfaces.shape import (
    MAX_CHOICES,
    MAX_DEPTH,
    MAX_VALUES,
    Surface,
    check_parameters,
    parse,
    to_upstream,
)
from service.errors import InvalidRequest

USER = [{"role": "user", "content": "hi"}]


def body(**fields: Any) -> bytes:  # noqa: ANN401
    return msgspec.json.encode({"model": "m", "messages": USER} | fields)


def check(surface: Surface, data: bytes, *, strict: bool = True) -> None:
    check_parameters(parse(data), surface, strict=strict)


def refused(surface: Surface, data: bytes, *, strict: bool = True) -> str | None:
    """Return the field that a request is refused for."""
    with pytest.raises(InvalidRequest) as caught:
        check(surface, data, strict=strict)
    return caught.value.param


def test_surfaces_are_found_by_name_and_by_path() -> None:
    assert set(SURFACES) == {
        "chat", "completions", "count_tokens", "embeddings", "messages", "responses",
    }  # fmt: skip
    assert BY_PATH["/v1/chat/completions"] is CHAT
    assert BY_PATH["/v1/completions"] is COMPLETIONS


def test_routing_knows_model_stream_and_usage() -> None:
    request = parse(body(stream=True, stream_options={"include_usage": True}))
    assert (request.model, request.stream, request.wants_usage) == ("m", True, True)
    request = parse(body(stream=None, stream_options=None))
    assert (request.stream, request.wants_usage) == (False, False)


@pytest.mark.parametrize(
    ("data", "param"),
    [
        (b"", None),
        (b"{", None),
        (b"[]", None),
        (b"\xff\xfe", None),
        (b'{"model": "m"} trailing', None),
        (b"{}", "model"),
        (b'{"model": 3}', "model"),
        (b'{"model": null}', "model"),
        (b'{"model": "m", "stream": "yes"}', "stream"),
        (b'{"model": "m", "stream_options": []}', "stream_options"),
        (b'{"model": "m", "stream_options": {"include_usage": 3}}', "include_usage"),
    ],
)
def test_a_body_that_cannot_be_routed_is_refused_with_the_field_at_fault(
    data: bytes, param: str | None
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(data)
    assert caught.value.param == param


@pytest.mark.parametrize("depth", [1000, 100_000])
def test_a_body_that_is_nested_beyond_reason_is_refused(depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    for field in (b"messages", b"tools", b"response_format"):
        data = b'{"model":"m","messages":[],"' + field + b'":' + nested + b"}"
        with pytest.raises(InvalidRequest):
            check(CHAT, data)


def test_nesting_is_accepted_up_to_its_bound() -> None:
    def nested(depth: int) -> bytes:
        return b'{"model":"m","messages":[],"tools":' + b"[" * depth + b"]" * depth + b"}"

    check(CHAT, nested(MAX_DEPTH))
    assert refused(CHAT, nested(MAX_DEPTH + 1)) == "tools"


def test_many_messages_are_not_deep() -> None:
    check(CHAT, body(messages=USER * 1000))


@pytest.mark.parametrize("field", ["prompt_embeds", "vllm_xargs", "kv_transfer_params"])
@pytest.mark.parametrize("strict", [False, True])
def test_fields_that_reach_into_the_engine_are_refused_on_every_tier(
    field: str, strict: bool
) -> None:
    assert refused(CHAT, body(**{field: {}}), strict=strict) == field


@pytest.mark.parametrize(
    "field", ["chat_template", "continue_final_message", "add_generation_prompt", "documents", "x"]
)
def test_other_unknown_fields_are_refused_where_parameters_are_strict(field: str) -> None:
    assert refused(CHAT, body(**{field: "v"})) == field
    check(CHAT, body(**{field: "v"}), strict=False)


def test_every_parameter_of_the_list_is_accepted() -> None:
    special = {"messages", "model", "stream", "stream_options", "n", "chat_template_kwargs"}
    check(CHAT, body(**dict.fromkeys(CHAT.parameters - special)))


@pytest.mark.parametrize("field", ["n", "best_of"])
def test_the_number_of_answers_is_bounded(field: str) -> None:
    def asking(count: Any) -> bytes:  # noqa: ANN401
        return msgspec.json.encode({"model": "m", "prompt": "x", field: count})

    check(COMPLETIONS, asking(MAX_CHOICES))
    assert refused(COMPLETIONS, asking(MAX_CHOICES + 1)) == field
    assert refused(COMPLETIONS, asking("many")) == field


def test_arguments_of_the_template_are_an_allow_list() -> None:
    check(CHAT, body(chat_template_kwargs={"enable_thinking": False}))
    assert refused(CHAT, body(chat_template_kwargs={"other": 1})) == "chat_template_kwargs"


@pytest.mark.parametrize(
    "messages",
    [3, "hi", [3], [{"content": "no role"}], [{"role": "user", "content": 3}]],
)
def test_messages_that_are_none_are_refused(messages: Any) -> None:  # noqa: ANN401
    assert refused(CHAT, body(messages=messages)) == "messages"


def test_a_chat_without_messages_is_refused() -> None:
    assert refused(CHAT, b'{"model": "m"}') == "messages"


@pytest.mark.parametrize("name", ["image_url", "video_url", "audio_url"])
@pytest.mark.parametrize("wrap", [lambda url: url, lambda url: {"url": url}])
def test_content_behind_a_url_is_refused_and_a_data_url_is_not(name: str, wrap: Any) -> None:  # noqa: ANN401
    def with_part(url: str) -> bytes:
        part = {"type": name, name: wrap(url)}
        return body(messages=[{"role": "user", "content": [part]}])

    check(CHAT, with_part("data:image/png;base64,AAAA"))
    assert refused(CHAT, with_part("https://example.org/a.png")) == "messages"
    assert refused(CHAT, with_part("file:///etc/hosts")) == "messages"


@pytest.mark.parametrize("prompt", [[1, 2, 3], [[1, 2]], ["a", 1], {"a": 1}, 3, None])
def test_a_prompt_that_is_no_text_is_refused(prompt: Any) -> None:  # noqa: ANN401
    data = msgspec.json.encode({"model": "m", "prompt": prompt})
    assert refused(COMPLETIONS, data) == "prompt"


def test_a_prompt_or_several_are_accepted() -> None:
    check(COMPLETIONS, b'{"model": "m", "prompt": "a"}')
    check(COMPLETIONS, b'{"model": "m", "prompt": ["a", "b"]}')
    assert refused(COMPLETIONS, b'{"model": "m"}') == "prompt"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=4), st.booleans(), st.booleans())
def test_the_upstream_gets_the_request_but_for_the_listed_edits(
    others: dict[str, Any], renamed: bool, stream: bool
) -> None:
    others = {k: v for k, v in others.items() if k not in {"model", "stream", "stream_options"}}
    sent = {"messages": USER} | others | {"model": "m", "stream": stream}
    got = msgspec.json.decode(
        to_upstream(parse(msgspec.json.encode(sent)), CHAT, "n" if renamed else "m")
    )
    expected = sent | {"model": "n" if renamed else "m"}
    if stream:
        expected["stream_options"] = {"include_usage": True}
    assert got == expected


def test_a_request_that_needs_no_edit_passes_byte_by_byte() -> None:
    data = b'{ "model":"m",\n "messages" : [ ],"seed":1.0e3, "seed":2 }\n'
    assert to_upstream(parse(data), CHAT, "m") == data


def test_numbers_and_spaces_of_other_fields_stay_as_they_were_written() -> None:
    data = b'{"model":"m","temperature":1.10e0,"messages":[ {"role":"user", "content":"\\u0068"} ]}'
    edited = to_upstream(parse(data), CHAT, "real")
    assert b'"temperature":1.10e0' in edited
    assert b'[ {"role":"user", "content":"\\u0068"} ]' in edited


def test_options_of_a_stream_are_kept_but_for_usage_that_nobody_asked_for() -> None:
    asked = {"include_usage": False, "continuous_usage_stats": True, "odd": 1}
    data = body(stream=True, stream_options=asked)
    options = msgspec.json.decode(to_upstream(parse(data), CHAT, "m"))["stream_options"]
    assert options == {"include_usage": True, "odd": 1}


def test_who_asks_for_usage_gets_the_request_through_unchanged() -> None:
    data = body(stream=True, stream_options={"include_usage": True})
    assert to_upstream(parse(data), CHAT, "m") == data


@pytest.mark.parametrize("value", ["[]", "{}", '""', "1"])
def test_a_body_of_too_many_values_is_refused_before_it_is_read(value: str) -> None:
    many = ",".join([value] * (MAX_VALUES + 1))
    with pytest.raises(InvalidRequest, match="values"):
        parse(f'{{"model":"m","messages":[{many}]}}'.encode())


def test_brackets_in_texts_are_text() -> None:
    text = r"[{,\"\\" * MAX_VALUES
    body = f'{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}'.encode()
    assert parse(body).model == "m"
