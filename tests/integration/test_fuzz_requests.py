"""Hostile requests: each is answered as an error or served, recorded, and never hangs."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.real_parts.gateway import (
    CHAT,
    COMPLETIONS,
    DONE,
    KEY,
    MODEL,
    STREAM_END,
    STREAM_HEAD,
    UPSTREAM_MODEL,
    answer_of,
    chat_body,
    chat_event,
    framed,
    rendered,
)
from tests.real_parts.scripted import Peer
from tests.real_parts.standing import Standing, exact, must_be_foreseen, standing_gateway

FUZZ: Final = settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
LAST: Final = rendered("/v1/models", headers=[("connection", "close")], method="GET")
"""A request that is fine, and the last of its connection."""


async def answers_as_asked(peer: Peer, request: bytes) -> bool:
    """Play an upstream that is well."""
    if json.loads(request.partition(b"\r\n\r\n")[2]).get("stream"):
        event = framed(chat_event("Hi") + DONE)
        await peer.send(STREAM_HEAD + event + STREAM_END)
    else:
        await peer.send(answer_of(chat_body()))
    return True


def impatient(written: dict[str, Any]) -> None:
    written["gateway"] |= {"header_timeout_s": 0.1, "body_timeout_s": 0.1, "keep_alive_s": 0.1}


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with standing_gateway(tmp_path_factory.mktemp("fuzz")) as made:
        made.play = answers_as_asked
        yield made


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with standing_gateway(tmp_path_factory.mktemp("hasty"), impatient) as made:
        made.play = answers_as_asked
        yield made


# Bodies: valid ones, of which some values, names and bytes are replaced.

Node = bytes | dict[bytes, "Node"] | list["Node"]
"""JSON as it is written: bytes stand for themselves."""
Path = tuple[bytes | int, ...]

TOKENS: Final = (
    *(b"null", b"true", b"0", b"-1", b"-0", b"1.5", b"[]", b"{}", b'""', b'"x"', b'"watched"'),
    *(b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"1e-9999", b"9" * 30, b"1" * 5000),
    *(b"01", b"+1", b"1.", b".5", b"0x1", b"tru", b"None", b"'x'", b"", b"/**/1", b"1 2", b"{]"),
    *(b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83dx"', b'"\\u0000"', b'"\\u12"', b'"\\x"', b'"'),
    *(b'"\xff"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\0"', b'"\n"'),
    *(b"[" * 150 + b"]" * 150, b"[" * 3000 + b"]" * 3000, b'{"a":' * 500 + b"1" + b"}" * 500),
    *(b'"' + b"x" * 100_000 + b'"', b"[" + b"{}," * 5000 + b"{}]", b'[{"type":"image_url"}]'),
    *(b'{"url":"http://elsewhere"}', b'[{"role":"user"}]', b'[{"role":"user","content":[1]}]'),
)
NAMES: Final = (
    *(b"model", b"messages", b"prompt", b"stream", b"stream_options", b"include_usage", b"role"),
    *(b"content", b"n", b"tools", b"prompt_embeds", b"vllm_xargs", b"echo", b"", b"x" * 100_000),
    *(b"\\ud800", b"\\u0000", b"\xff", b"\\u006dodel", b"a\\", b"Model", b"model "),
)
CHAT_BODY: Final[dict[bytes, Node]] = {
    b"model": b'"watched"',
    b"messages": [
        {b"role": b'"system"', b"content": b'"Be brief."'},
        {b"role": b'"user"', b"content": [{b"type": b'"text"', b"text": b'"Hello"'}]},
    ],
    b"stream": b"true",
    b"stream_options": {b"include_usage": b"true"},
    b"temperature": b"0.5",
    b"tools": [{b"type": b'"function"', b"function": {b"name": b'"f"', b"parameters": {}}}],
}
COMPLETION_BODY: Final[dict[bytes, Node]] = {
    b"model": b'"watched"',
    b"prompt": [b'"Hello"', b'"World"'],
    b"stream": b"false",
    b"logit_bias": {b"50256": b"-100"},
    b"n": b"1",
}


def written(node: Node) -> bytes:
    match node:
        case dict():
            return b"{" + b",".join(b'"%b":%b' % (n, written(v)) for n, v in node.items()) + b"}"
        case list():
            return b"[" + b",".join(map(written, node)) + b"]"
        case _:
            return node


def paths(node: Node) -> Iterator[Path]:
    yield ()
    if not isinstance(node, bytes):
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for name, inner in items:
            yield from ((name, *path) for path in paths(inner))


def changed(node: Node, path: Path, change: Callable[[Node], Node]) -> Node:
    if not path:
        return change(node)
    name, *rest = path
    if isinstance(node, dict) and isinstance(name, bytes) and name in node:
        return {**node, name: changed(node[name], tuple(rest), change)}
    if isinstance(node, list) and isinstance(name, int) and name < len(node):
        return [*node[:name], changed(node[name], tuple(rest), change), *node[name + 1 :]]
    return node  # an earlier change took it away


def with_field(node: Node, name: bytes, value: bytes, *, again: bool) -> Node:
    """Add a field; `again`: behind itself, as an object may have a name twice."""
    if not isinstance(node, dict):
        return value
    if again and node:
        last = next(reversed(node))
        return {**node, last: written(node[last]) + b',"%b":%b' % (last, value)}
    return {**node, name: value}


@st.composite
def hostile_bodies(draw: st.DrawFn, valid: Mapping[bytes, Node]) -> bytes:
    node: Node = dict(valid)
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(list(paths(node))))
        value = draw(st.sampled_from(TOKENS))
        name = draw(st.sampled_from(NAMES))
        again = draw(st.booleans())
        replaces = draw(st.booleans())
        node = changed(
            node,
            path,
            lambda old: value if replaces else with_field(old, name, value, again=again),  # noqa: B023
        )
    return draw(spoilt(written(node)))


def spoilt(data: bytes) -> st.SearchStrategy[bytes]:
    """Bytes as they are, or cut, marked, lengthened, or with a byte changed."""
    place = st.integers(0, max(len(data) - 1, 0))
    return st.one_of(
        st.just(data),
        st.just(data),
        place.map(lambda at: data[:at]),
        st.sampled_from([b"\xef\xbb\xbf", b"\xff\xfe", b" \n", b"\0"]).map(
            lambda mark: mark + data
        ),
        st.sampled_from([b"\0", b"{}", b" \n", b"\x1a", data]).map(lambda more: data + more),
        st.tuples(place, st.binary(min_size=1, max_size=2)).map(
            lambda at: data[: at[0]] + at[1] + data[at[0] + 1 :]
        ),
    )


@FUZZ
@given(
    requests=st.lists(
        st.tuples(st.just(CHAT), hostile_bodies(CHAT_BODY))
        | st.tuples(st.just(COMPLETIONS), hostile_bodies(COMPLETION_BODY)),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_body_is_refused_or_passed_on_as_it_was_recorded(
    standing: Standing, requests: list[tuple[str, bytes]]
) -> None:
    async def example() -> None:
        seen = standing.gateway.upstream.requests
        served: list[bytes] = []
        for path, body in requests:
            reply, last = await standing.talk(rendered(path, body), then=LAST)
            must_be_foreseen([reply])
            assert last.status == 200
            assert reply.status == 200 or reply.code in {"invalid_request", "model_not_found"}
            served += [body] if reply.status == 200 else []
        recorded = await standing.recorded(len(served))
        assert [exchange.prompt for exchange in recorded] == served
        assert all(exchange.closed.outcome == "completed" for exchange in recorded)
        for request, body in zip(seen, served, strict=True):
            must_be_the_same(request.partition(b"\r\n\r\n")[2], body)

    standing.run(example())


def must_be_the_same(forwarded: bytes, recorded: bytes) -> None:
    """Check that the upstream reads what was recorded, but for the contract's edits."""
    got, kept = (dict(exact(data)) for data in (forwarded, recorded))
    assert (got.pop("model"), kept.pop("model")) == (UPSTREAM_MODEL, MODEL)
    asked = got.pop("stream_options", None)
    given = kept.pop("stream_options", None)
    assert asked == given or dict(asked)["include_usage"] is True
    assert got == kept


# Heads, of which names, values, the method and the target are anything.

AUTHORISED: Final = (b"authorization", b"Bearer " + KEY.encode())
ANY_LINE: Final = st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"\r"))
VALUE: Final = st.one_of(
    st.sampled_from(
        [b"", b"0", b"1", b"-1", b"1" * 30, b"0" * 5000 + b"2", b"chunked", b"close", b"gzip",
         b"keep-alive", b"100-continue", b"websocket", b"identity", b"bytes=0-", b"x" * 9000]
    ),
    st.text(st.characters(codec="latin-1", categories=["L", "N", "P", "S", "Zs"])).map(
        lambda text: text.encode("latin-1")
    ),
)  # fmt: skip
NAME: Final = st.one_of(
    st.sampled_from(
        [b"accept", b"authorization", b"connection", b"content-encoding", b"content-length",
         b"content-type", b"cookie", b"expect", b"forwarded", b"host", b"te", b"trailer",
         b"traceparent", b"tracestate", b"transfer-encoding", b"upgrade", b"x-request-id",
         b"x-watchgate-receipt", b"keep-alive", b"proxy-connection", b"range"]
    ),
    st.from_regex(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}", fullmatch=True),
)  # fmt: skip
ODD_FIELD: Final = st.tuples(NAME, ANY_LINE) | st.tuples(st.binary(max_size=20), ANY_LINE)
METHODS: Final = (
    *(b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"TRACE", b"M-SEARCH"),
    *(b"CONNECT", b"PRI", b"get", b"G\xc3\x89T", b"X" * 300, b""),
)
TARGETS: Final = (
    *(b"/v1/models", CHAT.encode(), COMPLETIONS.encode(), b"/v1/models/%00", b"/v1/models?%ff"),
    *(
        b"http://elsewhere/v1/models",
        b"/%ff%fe",
        b"/v1/%2e%2e",
        b"/v1/models/" + b"%F0%9F%98%80" * 50,
    ),
    *(b"*", b"//", b"elsewhere:80", b"/" + b"a" * 9000, b"", b"#", b"/\xff", b"?x", b"/ /"),
)
VERSIONS: Final = (b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"")


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """Request lines and headers, most of them valid HTTP."""

    def one_of(values: tuple[bytes, ...], sound: int) -> bytes:
        is_odd = draw(st.integers(0, 9)) == 9
        return draw(st.sampled_from(values if is_odd else values[:sound]))

    line = b" ".join((one_of(METHODS, 2), one_of(TARGETS, 9), one_of(VERSIONS, 1)))
    fields = draw(st.lists(st.tuples(NAME, VALUE), max_size=3))
    if draw(st.integers(0, 9)) == 9:
        fields.append(draw(ODD_FIELD))
    many = draw(st.sampled_from([0, 0, 0, 90, 200]))
    fields += [(b"x-%d" % number, b"y") for number in range(many)]
    if all(name.lower() != b"authorization" for name, _ in fields):
        fields.append(AUTHORISED)
    lines = [line, b"host: gateway", *(b"%b: %b" % field for field in fields)]
    return b"\r\n".join(lines)


@FUZZ
@given(head=heads(), body=st.sampled_from([b"", b"{}", written(CHAT_BODY)]), ends=st.booleans())
def test_whatever_head_is_answered_with_an_error_or_served(
    hasty: Standing, head: bytes, body: bytes, ends: bool
) -> None:
    length = b"\r\ncontent-length: %d" % len(body) if ends else b""
    request = head + length + b"\r\n\r\n" + body

    async def example() -> None:
        replies = await hasty.talk(request, then=LAST)
        must_be_foreseen(replies)
        await hasty.recorded(len(hasty.gateway.upstream.requests))

    hasty.run(example())


@FUZZ
@given(
    data=st.one_of(
        st.binary(max_size=300),
        hostile_bodies(CHAT_BODY).flatmap(lambda body: spoilt(rendered(CHAT, body))),
        st.integers(0, len(rendered(CHAT, written(CHAT_BODY)))).map(
            lambda at: rendered(CHAT, written(CHAT_BODY))[:at]
        ),
    ),
    cut=st.integers(0, 400),
)
def test_whatever_bytes_end_in_an_answer_or_a_close(hasty: Standing, data: bytes, cut: int) -> None:
    async def example() -> None:
        replies = await hasty.talk(data[:cut], data[cut:], then=LAST)
        must_be_foreseen(replies)
        await hasty.recorded(len(hasty.gateway.upstream.requests))

    hasty.run(example())
