"""What the gateway refuses, and how it says so."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core.callers import digest_key, make_key
from service.settings import Settings
from service.store import load_pepper
from service.store.keys import StoredKey, add_key
from tests.real_parts.gateway import (
    CHAT,
    COMPLETIONS,
    KEY,
    MODEL,
    answer_of,
    chat,
    chat_body,
    compact,
    gateway_before,
    opened,
    rendered,
    screener_beats,
)
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import answering, eventually

ANSWERS = answering(answer_of(chat_body()))
TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("POST", "/invocations", 404, "not_found"),
        ("POST", "/v1/load_lora_adapter", 404, "not_found"),
        ("POST", "/v1/chat/completions/", 404, "not_found"),
        ("POST", "//v1/chat/completions", 404, "not_found"),
        ("POST", "/v1/models/../chat/completions", 405, "method_not_allowed"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("OPTIONS", "/v1/chat/completions", 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("DELETE", "/v1/models/watched", 405, "method_not_allowed"),
    ],
)
@on_uvloop
async def test_only_the_listed_paths_and_methods_are_served(
    tmp_path: Path, method: str, path: str, status: int, code: str
) -> None:
    async with gateway_before(ANSWERS, folder=tmp_path) as gateway:
        reply = await gateway.get(path, method=method)
        assert (reply.status, reply.code) == (status, code)
        assert ("allow" in reply.headers) == (status == 405)
        assert not gateway.upstream.connections


@on_uvloop
async def test_a_key_that_proves_nothing_is_refused_with_the_reason(tmp_path: Path) -> None:
    late = make_key(b"l" * 32)

    def with_expired_key(given: Settings) -> None:
        with opened(given) as store, store.begin() as connection:
            key = StoredKey("key_late", "p", late[:12], 1.0, "tests", expires_at=time.time() - 1)
            add_key(connection, key, digest_key(load_pepper(given.data_dir, None), late))

    async with gateway_before(ANSWERS, folder=tmp_path, prepare=with_expired_key) as gateway:
        told = {}
        for key in (None, "sk-wg-wrong", late, "\udce9".encode("utf-8", "surrogateescape").hex()):
            reply = await gateway.post(CHAT, chat(), key=key)
            assert (reply.status, reply.code) == (401, "invalid_api_key")
            assert reply.headers["www-authenticate"].startswith("Bearer")
            told[key] = reply.json["error"]["message"]
        assert "No API key" in told[None]
        assert "expired" in told[late]
        basic = await gateway.post(
            CHAT, chat(), key=None, headers=[("authorization", "Basic eDp5")]
        )
        assert (basic.status, basic.code) == (401, "invalid_api_key")
        twice = await gateway.post(CHAT, chat(), headers=[("authorization", f"Bearer {KEY}")])
        assert twice.status == 400
        assert gateway.metric("auth_failures_total", reason="unknown") == 2
        assert gateway.metric("auth_failures_total") == 5
        assert gateway.kinds() == []
        lower = await gateway.post(
            CHAT, chat(), key=None, headers=[("Authorization", f"bearer  {KEY}")]
        )
        assert lower.status == 200


@on_uvloop
async def test_a_revoked_key_is_refused_within_two_seconds(tmp_path: Path) -> None:
    def usual_interval(written: dict[str, Any]) -> None:
        del written["store"]["poll_s"]

    async with gateway_before(ANSWERS, folder=tmp_path, change=usual_interval) as gateway:
        assert (await gateway.post(CHAT, chat())).status == 200
        gateway.revoke_key()
        async with asyncio.timeout(2):
            while (await gateway.post(CHAT, chat())).status != 401:
                pass
        assert "revoked" in (await gateway.post(CHAT, chat())).json["error"]["message"]


MESSAGES = b'"messages":[{"role":"user","content":"x"}]'
IMAGE = {"type": "image_url", "image_url": {"url": "http://elsewhere/x.png"}}
BODIES: dict[str, bytes] = {
    "empty": b"",
    "not json": b"hello",
    "a list": b"[1]",
    "cut": compact(chat())[:-1],
    "two values": compact(chat()) + b"{}",
    "a byte order mark": b"\xef\xbb\xbf" + compact(chat()),
    "invalid utf-8 in the prompt": compact(chat("?")).replace(b"?", b"\xff"),
    "invalid utf-8 elsewhere": b'{"model":"watched","user":"\xff",' + MESSAGES + b"}",
    "a lone surrogate": b'{"model":"watched","messages":[{"role":"user","content":"\\ud800"}]}',
    "NaN": b'{"model":"watched","temperature":NaN,' + MESSAGES + b"}",
    "a number out of range": b'{"model":"watched","temperature":1e999,' + MESSAGES + b"}",
    "deep nesting": b'{"model":"watched","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep nesting without an end": b'{"model":"watched","messages":' + b"[" * 100_000,
    "no model": b"{" + MESSAGES + b"}",
    "a number for a model": b'{"model":1,' + MESSAGES + b"}",
    "no messages": b'{"model":"watched"}',
    "messages of a wrong type": b'{"model":"watched","messages":"hi"}',
    "a message without a role": b'{"model":"watched","messages":[{"content":"x"}]}',
    "stream of a wrong type": b'{"model":"watched","stream":"yes",' + MESSAGES + b"}",
    "stream options of a wrong type": b'{"model":"watched","stream_options":3,' + MESSAGES + b"}",
    "an odd stream option": compact(chat(stream_options={"include_usage": "x"})),
    "an image elsewhere": compact(
        {"model": MODEL, "messages": [{"role": "user", "content": [IMAGE]}]}
    ),
    "what reaches into the engine": b'{"model":"watched","prompt_embeds":"AA",' + MESSAGES + b"}",
}  # fmt: skip


@on_uvloop
async def test_a_body_that_is_not_what_the_surface_takes_is_refused(tmp_path: Path) -> None:
    async with gateway_before(ANSWERS, folder=tmp_path) as gateway:
        for name, body in BODIES.items():
            reply = await gateway.post(CHAT, body)
            assert (name, reply.status, reply.code) == (name, 400, "invalid_request")
        for prompt in ([1, 2, 3], [[1, 2]], 7, None):
            reply = await gateway.post(COMPLETIONS, {"model": MODEL, "prompt": prompt})
            assert (reply.status, reply.json["error"]["param"]) == (400, "prompt")
        many = await gateway.post(COMPLETIONS, {"model": MODEL, "prompt": ["x"] * 129})
        assert (many.status, many.json["error"]["param"]) == (400, "prompt")
        for field in ("priority", "mm_processor_kwargs", "media_io_kwargs", "request_id"):
            reply = await gateway.post(CHAT, {**chat(), field: 1})
            assert (reply.status, reply.json["error"]["param"]) == (400, field)
        assert not gateway.upstream.connections
        assert gateway.kinds() == []
        assert set(gateway.outcomes()) == {"invalid_request"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("chat_template", "x"),
        ("continue_final_message", True),
        ("chat_template_kwargs", {"surprise": 1}),
        ("n", 9),
        ("n", "two"),
        ("never_heard_of", 1),
    ],
)
@on_uvloop
async def test_from_tier_1_on_parameters_are_an_allow_list(
    tmp_path: Path, field: str, value: object
) -> None:
    async with gateway_before(ANSWERS, folder=tmp_path, tier=1, prepare=screener_beats) as gateway:
        reply = await gateway.post(CHAT, {**chat(), field: value})
        assert (reply.status, reply.code) == (400, "invalid_request")
        assert reply.json["error"]["param"] == field
        assert (await gateway.post(CHAT, chat(n=8, temperature=0.5))).status == 200


@on_uvloop
async def test_what_json_allows_is_served(tmp_path: Path) -> None:
    bodies = [
        b'{"model":"nobody","model":"watched",' + MESSAGES + b"}",
        b" \n\t" + compact(chat()) + b" \r\n",
        compact(chat(stream=None, stream_options=None)),
        compact(chat(stream=True, stream_options={})),
        compact(chat(never_heard_of=1)),
    ]
    async with gateway_before(ANSWERS, folder=tmp_path) as gateway:
        for body in bodies:
            assert (await gateway.post(CHAT, body)).status == 200
        for request in gateway.upstream.requests:
            assert json.loads(request.partition(b"\r\n\r\n")[2])["model"] == "org/behind"


@pytest.mark.parametrize("name", ['"', "'; drop", "é\u2028\U0001f600", "\n", "", "a" * 10_000])
@on_uvloop
async def test_an_unknown_model_is_named_in_the_refusal(tmp_path: Path, name: str) -> None:
    async with gateway_before(ANSWERS, folder=tmp_path) as gateway:
        reply = await gateway.post(CHAT, {**chat(), "model": name})
        assert (reply.status, reply.code) == (404, "model_not_found")
        assert repr(name[:128]) in reply.json["error"]["message"]
        assert gateway.metric("requests_total", model="other", outcome="model_not_found") == 1


@on_uvloop
async def test_a_body_over_the_limit_is_refused_however_it_comes(tmp_path: Path) -> None:
    def small(written: dict[str, Any]) -> None:
        written["gateway"]["max_body_bytes"] = 1000

    async with gateway_before(ANSWERS, folder=tmp_path, change=small) as gateway:
        announced = await gateway.connect()
        await announced.send(rendered(CHAT, headers=[("content-length", "1001")]))
        assert (await announced.reply()).code == "request_too_large"
        chunked = await gateway.connect()
        head = rendered(CHAT, headers=[("transfer-encoding", "chunked")])
        await chunked.send(head + b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n")
        reply = await chunked.reply()
        assert (reply.status, reply.code) == (413, "request_too_large")
        await chunked.send(rendered(CHAT, chat()))  # the connection is still of use
        assert (await chunked.reply()).status == 200
        assert (await gateway.post(CHAT, chat("x" * 850))).status == 200


@on_uvloop
async def test_a_body_that_does_not_come_is_refused_in_time(tmp_path: Path) -> None:
    def impatient(written: dict[str, Any]) -> None:
        written["gateway"] |= {"body_timeout_s": 0.2, "header_timeout_s": 0.3}

    async with gateway_before(ANSWERS, folder=tmp_path, change=impatient) as gateway:
        connection = await gateway.connect()
        await connection.send(rendered(CHAT, b"{", headers=[("content-length", "100")]))
        reply = await connection.reply()
        assert (reply.status, reply.code) == (408, "request_timeout")
        assert await connection.is_closed()
        assert gateway.outcomes() == {"request_timeout": 1}


@on_uvloop
async def test_a_compressed_body_is_refused_and_one_as_it_is_not(tmp_path: Path) -> None:
    async with gateway_before(ANSWERS, folder=tmp_path) as gateway:
        reply = await gateway.post(CHAT, chat(), headers=[("content-encoding", "gzip")])
        assert (reply.status, reply.code) == (400, "invalid_request")
        reply = await gateway.post(CHAT, chat(), headers=[("content-encoding", "Identity")])
        assert reply.status == 200


@on_uvloop
async def test_the_callers_request_id_is_echoed_and_kept_if_it_is_plain(tmp_path: Path) -> None:
    async with gateway_before(ANSWERS, folder=tmp_path) as gateway:
        reply = await gateway.post(CHAT, chat(), headers=[("x-request-id", "mine-1")])
        receipt = reply.headers["x-watchgate-receipt"]
        assert reply.headers["x-request-id"] == "mine-1" != receipt
        exchange = await gateway.exchange()
        assert exchange.opened.caller_request_id == "mine-1"
        assert exchange.opened.exchange_id == receipt
        for hostile in (b"a b", b"x" * 129, b"\xff", b"<script>", b""):
            reply = await gateway.post(CHAT, chat(), headers=[("x-request-id", hostile)])
            assert reply.headers["x-request-id"] == reply.headers["x-watchgate-receipt"]
        refused = await gateway.post(CHAT, b"", headers=[("x-request-id", "mine-2")])
        assert refused.headers["x-request-id"] == "mine-2"


@on_uvloop
async def test_a_trace_is_passed_on_and_nothing_that_only_looks_like_one(tmp_path: Path) -> None:
    hostile: list[bytes] = [b"x", b"\xff" * 55, TRACE.encode() + b"\xe9", TRACE.upper().encode()]
    async with gateway_before(ANSWERS, folder=tmp_path) as gateway:
        for value in [TRACE.encode(), *hostile]:
            reply = await gateway.post(CHAT, chat(), headers=[("traceparent", value)])
            assert reply.status == 200
        first, *others = gateway.upstream.requests
        assert b"traceparent: " + TRACE.encode() + b"\r\n" in first
        assert not any(b"traceparent" in request for request in others)
        (opened_event, _), *_ = await gateway.events(10)
        assert getattr(opened_event, "traceparent", None) == TRACE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.dictionaries(
    st.sampled_from(["model", "messages", "prompt", "stream", "stream_options", "n", "tools", "x"]),
    JSON | st.just(MODEL) | st.just([{"role": "user", "content": "x"}]),
)
BYTES = st.binary(max_size=200) | FIELDS.map(lambda fields: json.dumps(fields).encode())
VALUE = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=40)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            ["x-request-id", "traceparent", "content-encoding", "accept", "expect", "connection",
             "authorization", "content-type", "upgrade", "x-odd"]
        ),
        VALUE.map(lambda value: value.encode("latin-1")),
    ),
    max_size=4,
)  # fmt: skip
PATHS = st.sampled_from([CHAT, COMPLETIONS, "/v1/models", "/v1/models/x"]) | st.text(
    st.characters(codec="ascii", min_codepoint=33), max_size=30
).map(lambda text: "/" + text)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    requests=st.lists(
        st.tuples(st.sampled_from(["GET", "POST", "PUT", "HEAD"]), PATHS, HEADERS, BYTES),
        min_size=4,
        max_size=12,
    )
)
def test_whatever_is_sent_is_answered_in_time_and_never_as_a_fault_of_the_gateway(
    tmp_path_factory: pytest.TempPathFactory, requests: list[tuple[str, str, Any, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")

    @on_uvloop
    async def run() -> None:
        async with gateway_before(ANSWERS, folder=folder) as gateway:
            for method, path, headers, body in requests:
                key = None if any(name == "authorization" for name, _ in headers) else KEY
                connection = await gateway.begin(
                    path, body, headers=headers, key=key, method=method
                )
                status, fields = await connection.head()
                while status == 100:
                    status, fields = await connection.head()
                assert status < 500 or status in {502, 503, 504}
                if method != "HEAD":
                    reply = await connection.body(status, fields)
                    assert reply.status == 200 or reply.code
                connection.close()
            await eventually(lambda: gateway.pipeline.meters.in_flight == 0)

    run()
