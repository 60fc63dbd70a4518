"""Requests and answers of /v1/embeddings."""

from typing import Any

import msgspec
import pytest

from service.core.surfaces.answers import answer_text
from service.core.surfaces.embeddings import EMBEDDINGS
from service.core.surfaces.prompts import prompt_text
from service.core.surfaces.shape import check_parameters, parse
from service.errors import InvalidRequest


def body(**fields: Any) -> bytes:  # noqa: ANN401
    return msgspec.json.encode({"model": "m"} | fields)


def refused(data: bytes, *, strict: bool = True) -> str | None:
    with pytest.raises(InvalidRequest) as caught:
        check_parameters(parse(data), EMBEDDINGS, strict=strict)
    return caught.value.param


@pytest.mark.parametrize("given", ["a", ["a", "b"]])
def test_a_text_or_several_are_accepted_and_read(given: Any) -> None:  # noqa: ANN401
    data = body(input=given, encoding_format="base64", dimensions=4)
    check_parameters(parse(data), EMBEDDINGS, strict=True)
    assert prompt_text(EMBEDDINGS, data).segments == tuple(given)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": [1, 2]}, "input"),
        ({"input": [[1, 2]]}, "input"),
        ({"input": None}, "input"),
        ({"input": [{"role": "user", "content": "x"}]}, "input"),
        ({}, "input"),
        ({"input": "a", "messages": []}, "messages"),
        ({"input": "a", "encoding_format": "bytes"}, "encoding_format"),
    ],
)
def test_what_cannot_be_read_is_refused(strict: bool, fields: dict[str, Any], param: str) -> None:
    assert refused(body(**fields), strict=strict) == param


def test_an_answer_has_usage_and_no_text() -> None:
    data = msgspec.json.encode(
        {
            "object": "list",
            "data": [{"index": 0, "object": "embedding", "embedding": [0.5]}],
            "model": "m",
            "usage": {"prompt_tokens": 3, "total_tokens": 3, "completion_tokens": 0},
        }
    )
    reader = EMBEDDINGS.answer_reader()
    assert not reader.read(data)
    assert reader.usage is not None
    assert reader.usage.prompt_tokens == 3
    assert (reader.pieces, answer_text(reader.content()), reader.broke) == ((), "", False)
    assert EMBEDDINGS.cut_whole(data) == data
    reader.read(b'{"error":{"message":"x"}}')
    assert reader.broke
