import json
from typing import Any

import pytest

from service.core.surfaces.naming import renamed

OLD, NEW = b'"model":"org/behind"', b'"model":"watched"'
INPUT = {"model": "org/behind"}


def compact(value: Any) -> bytes:  # noqa: ANN401
    return json.dumps(value, separators=(",", ":")).encode()


def test_an_answer_without_the_field_passes_as_it_is() -> None:
    data = b'data: { "choices" : [] }\n\n'
    assert renamed(data, OLD, NEW) is data


def test_the_field_is_replaced_and_nothing_else() -> None:
    said = json.dumps(INPUT, separators=(",", ":"))
    data = compact({"text": said} | INPUT | {"n": 1})
    assert json.loads(renamed(data, OLD, NEW)) == {"text": said, "model": "watched", "n": 1}


@pytest.mark.parametrize("name", ["message", "response", None])
def test_of_several_fields_the_answers_own_is_replaced(name: str | None) -> None:
    answer = {"content": [{"type": "tool_use", "input": INPUT}], "metadata": INPUT} | INPUT
    event = b"event: x\ndata: " + compact({name: answer} if name else answer) + b"\n\n"
    head, _, rest = renamed(event, OLD, NEW).partition(b"{")
    assert (head, rest[-2:]) == (b"event: x\ndata: ", b"\n\n")
    told = json.loads(b"{" + rest)
    assert (told[name] if name else told) == answer | {"model": "watched"}


@pytest.mark.parametrize("data", [OLD + OLD, b"{" + OLD + b'"x":1,' + OLD + b"}"])
def test_what_is_no_json_has_the_upstreams_name_nowhere(data: bytes) -> None:
    assert b"behind" not in renamed(data, OLD, NEW)


def test_an_event_whose_message_is_a_text_is_renamed_too() -> None:
    data = compact({"message": "x", "input": INPUT} | INPUT)
    assert json.loads(renamed(data, OLD, NEW))["model"] == "watched"
