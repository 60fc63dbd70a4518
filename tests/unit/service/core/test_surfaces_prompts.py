import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.surfaces import SURFACES
from service.core.surfaces.chat import CHAT
from service.core.surfaces.completions import COMPLETIONS
from service.core.surfaces.prompts import PromptText, prompt_text, segment_text
from service.core.surfaces.shape import Surface
from service.core.unreadable import UNREADABLE

HIDDEN = "hidden words"
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def read(surface: Surface = CHAT, **fields: Any) -> PromptText:  # noqa: ANN401
    return prompt_text(surface, msgspec.json.encode({"model": "m"} | fields))


def user(content: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    return [{"role": "user", "content": content}]


@st.composite
def json_with(draw: st.DrawFn, leaf: str) -> Any:  # noqa: ANN401
    """Any JSON with a text somewhere in it: as a value or as the name of a field."""
    value: Any = draw(st.sampled_from([leaf, {leaf: 1}, {"type": leaf}, {"role": leaf}]))
    names = st.sampled_from(["content", "type", "role", "text", "image_url", "x", "arguments"])
    for _ in range(draw(st.integers(0, 8))):
        other: Any = draw(st.sampled_from([None, 1, True, "word", [], {}]))
        if draw(st.booleans()):
            value = {draw(names): value, "other": other}
        else:
            value = [other, value, other]
    return value


@given(json_with(HIDDEN), st.sampled_from([f for f in CHAT.prompt_fields if f != "messages"]))
def test_no_text_hides_in_a_field_of_the_prompt(value: Any, field: str) -> None:  # noqa: ANN401
    assert HIDDEN in read(**{"messages": user("hi"), field: value}).text


@given(json_with(HIDDEN), st.sampled_from(["content", "name", "tool_calls", "reasoning", "x"]))
def test_no_text_hides_in_a_message(value: Any, field: str) -> None:  # noqa: ANN401
    message = {"role": "user", "content": "hi", field: value}
    found = read(messages=[message])
    assert HIDDEN in found.text or found.unscanned


@given(json_with(HIDDEN))
def test_no_text_hides_in_a_completions_prompt(value: Any) -> None:  # noqa: ANN401
    assert HIDDEN in read(COMPLETIONS, prompt=value).text
    assert HIDDEN in read(COMPLETIONS, prompt="x", suffix=value).text


def test_texts_stand_in_the_order_of_the_messages() -> None:
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "one"}, "two"]},
        {"role": "assistant", "content": None, "reasoning": "three"},
    ]
    assert read(messages=messages) == PromptText(("be brief", "one\ntwo", "three"))


def test_each_message_and_each_tool_is_a_segment_that_does_not_depend_on_the_others() -> None:
    history = [{"role": "user", "content": "one"}, {"role": "assistant", "content": ["two", "x"]}]
    tools = [{"function": {"name": "f"}}, {"function": {"name": "g"}}]
    before = read(messages=history, tools=tools)
    after = read(messages=[*history, {"role": "user", "content": ""}], tools=tools)
    assert before.segments == ("one", "two\nx", "f", "g")
    assert after.segments == ("one", "two\nx", "", "f", "g")
    assert after.text == "one\ntwo\nx\n\nf\ng"
    assert read(COMPLETIONS, prompt=["a", "b"], suffix="c").segments == ("a", "b", "c")


def test_media_have_the_digest_of_their_bytes() -> None:
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    image, audio = read(messages=user([IMAGE, sound])).media
    assert (image.kind, audio.kind) == ("image", "audio")
    assert image.digest() == audio.digest() == hashlib.sha256(b"\0\0\0").hexdigest()
    (odd,) = read(messages=user([{"type": "image_url", "image_url": "data:é"}])).media
    assert odd.digest() == hashlib.sha256("data:é".encode()).hexdigest()


def test_names_that_say_nothing_are_left_out_and_others_are_not() -> None:
    parameters = {"type": "object", "properties": {"how_to_hide": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    assert read(messages=user("hi"), tools=[tool]).text == "hi\nf\nhow_to_hide"


def test_a_role_that_is_no_role_is_text() -> None:
    assert read(messages=[{"role": HIDDEN, "content": "hi"}]).text == f"{HIDDEN}\nhi"


def test_escapes_in_the_arguments_of_a_tool_call_hide_nothing() -> None:
    arguments = '{"q": "\\u0068\\u0069\\u0064\\u0064\\u0065\\u006e words"}'
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    assert HIDDEN in read(messages=[{"role": "assistant", "tool_calls": [call]}]).text


def test_arguments_that_are_no_json_are_text() -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": HIDDEN}}
    assert HIDDEN in read(messages=[{"role": "assistant", "tool_calls": [call]}]).text


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (IMAGE, "image"),
        ({"image_url": "data:image/png;base64,AAAA"}, "image"),
        ({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}}, "image"),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, "audio"),
        ({"type": "file", "file": {"file_data": "AAAA"}}, "file"),
    ],
)
def test_a_part_that_is_no_text_is_named_and_the_text_beside_it_is_read(
    part: dict[str, Any], reason: str
) -> None:
    found = read(messages=user([{"type": "text", "text": "what is it?"}, part | {"note": HIDDEN}]))
    assert found.unscanned == {reason}
    assert "AAAA" not in found.text
    assert "what is it?" in found.text
    assert HIDDEN in found.text


def test_outside_of_a_messages_parts_nothing_passes_for_an_image() -> None:
    schema = {"image_url": {"description": HIDDEN}, "type": "image_url"}
    found = read(messages=user("hi"), tools=[{"parameters": schema}])
    assert HIDDEN in found.text
    assert found.unscanned == frozenset()


def test_fields_that_do_not_reach_the_model_are_left_out() -> None:
    assert read(messages=user("hi"), user="u-1", metadata={"a": "b"}, stop=["x"]).text == "hi"


def test_an_empty_prompt_has_an_empty_text() -> None:
    assert read(messages=[]) == PromptText(())
    assert read() == PromptText(())


@pytest.mark.parametrize("depth", [200, 100_000])
def test_deep_nesting_is_read_or_refused_and_never_crashes(depth: int) -> None:
    body = b'{"messages":' + b"[" * depth + b'"hidden words"' + b"]" * depth + b"}"
    try:
        assert prompt_text(CHAT, body).text == HIDDEN
    except UNREADABLE:
        assert depth == 100_000


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff", b'{"messages": "\xff"}'])
def test_what_is_no_json_object_is_unreadable(body: bytes) -> None:
    with pytest.raises(UNREADABLE):
        prompt_text(CHAT, body)


@pytest.mark.parametrize("surface", [CHAT, SURFACES["messages"]])
@given(
    message=st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "tool", "somebody"]), "content": st.text()},
        optional={"name": st.text(), "tool_calls": st.just([{"function": {"arguments": "{}"}}])},
    )
    | st.fixed_dictionaries(
        {
            "role": st.just("user"),
            "content": st.none()
            | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text()})),
        }
    )
)
def test_the_text_of_a_segment_is_that_of_a_prompt_that_is_nothing_else(
    surface: Surface, message: dict[str, object]
) -> None:
    raw = msgspec.Raw(msgspec.json.encode(message))
    alone = prompt_text(surface, msgspec.json.encode({"messages": [message]})).text
    assert segment_text(surface, "messages", raw) == alone
