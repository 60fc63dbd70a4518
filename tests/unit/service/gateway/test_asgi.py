from collections.abc import Iterable

import pytest

from service.errors import RequestTooLarge
from service.gateway.asgi import Message, Receive, read_body


def giving(chunks: Iterable[bytes]) -> Receive:
    left = iter([*chunks, b""])

    async def receive() -> Message:
        chunk = next(left)
        return {"type": "http.request", "body": chunk, "more_body": bool(chunk)}

    return receive


@pytest.mark.parametrize("length", [b"2", b"0" * 5000 + b"2", b"0" * 5000])
async def test_a_length_may_have_any_number_of_leading_zeros(length: bytes) -> None:
    fields = {b"content-length": length}
    body = await read_body(fields, giving([b"hi"]), max_bytes=2, timeout_s=5)
    assert body == b"hi"


@pytest.mark.parametrize("length", [b"3", b"0" * 5000 + b"3", b"18446744073709551615"])
async def test_a_length_over_the_limit_is_refused_before_anything_is_read(length: bytes) -> None:
    with pytest.raises(RequestTooLarge, match="2 bytes"):
        await read_body({b"content-length": length}, giving([]), max_bytes=2, timeout_s=5)
