"""What somebody tries who wants more than the gateway gives: paths, identities, logs."""

import logging
from pathlib import Path

import pytest

from service.core.callers import make_key
from service.telemetry.logs import JsonFormatter
from tests.real_parts.gateway import (
    CHAT,
    KEY,
    MODEL,
    answer_of,
    chat,
    chat_body,
    gateway_before,
)
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import answering

ANSWERS = answering(answer_of(chat_body()))
PATHS = [
    "//v1/chat/completions",
    "/v1//chat/completions",
    "/V1/chat/completions",
    "/v1/Chat/Completions",
    "/v1/chat/completions/",
    "/v1/chat/completions.",
    "/v1/chat/completions..",
    "/v1/chat/completions/.",
    "/v1/chat/completions;x=1",
    "/v1/chat%2Fcompletions",
    "/v1/chat/complet%69ons",
    "/v1%2fchat/completions",
    "/v1/chat/completions%00",
    "/v1/chat/completions%20",
    "/v1/chat/./completions",
    "/v1/models/../chat/completions",
    "/v1/models/%2e%2e/chat/completions",
    "/v1/chat/completions%2f..%2finvocations",
    "/./v1/chat/completions",
    "/v1\\chat\\completions",
    "/invocations",
    "/v1/../invocations",
    "/v1/chat/completions/../../../invocations",
    "/update_weights",
    "/collective_rpc",
    "/v1/load_lora_adapter",
    "/v1/hooks/register",
    "/metrics",
    "/health",
    "/server_info",
    "/admin/v1/keys",
]


@on_uvloop
async def test_a_path_is_what_it_says_or_nothing(tmp_path: Path) -> None:
    async with gateway_before(ANSWERS, folder=tmp_path) as gateway:
        for path in PATHS:
            reply = await gateway.post(path, chat())
            assert (path, reply.status) in {(path, 404), (path, 405), (path, 400)}
        assert gateway.upstream.connections == 0
        assert (await gateway.post(CHAT + "?api-version=1", chat())).status == 200


IDENTITIES = [
    ("openai-organization", "admin"),
    ("openai-project", "another"),
    ("x-forwarded-user", "admin"),
    ("x-remote-user", "admin"),
    ("x-user-id", "admin"),
    ("x-watchgate-project", "another"),
    ("x-watchgate-receipt", "ex-forged"),
    ("x-goog-authenticated-user-email", "admin@example.org"),
    ("x-original-url", "/invocations"),
    ("x-rewrite-url", "/invocations"),
    ("x-http-method-override", "GET"),
    ("cookie", f"key={KEY}"),
    ("api-key", KEY),
]


@on_uvloop
async def test_no_header_but_the_key_says_who_calls(tmp_path: Path) -> None:
    async with gateway_before(ANSWERS, folder=tmp_path) as gateway:
        for header in IDENTITIES:
            reply = await gateway.post(CHAT, chat(), key=None, headers=[header])
            assert (header, reply.status, reply.code) == (header, 401, "invalid_api_key")
        assert (await gateway.post(CHAT, chat(), headers=IDENTITIES)).status == 200
        opened = (await gateway.exchange()).opened
        assert (opened.project, opened.account) == ("project", "project")
        assert opened.exchange_id != "ex-forged"
        sent = gateway.upstream.requests[0].lower()
        assert not [name for name, _ in IDENTITIES if name.encode() + b":" in sent]


@on_uvloop
async def test_the_key_reaches_nobody_behind_the_gateway(tmp_path: Path) -> None:
    async with gateway_before(ANSWERS, folder=tmp_path) as gateway:
        await gateway.post(CHAT, chat(), headers=[("x-api-key", KEY)])
        assert KEY.encode() not in gateway.upstream.requests[0]
        await gateway.events(2)
        files = [it for it in gateway.settings.data_dir.rglob("*") if it.is_file()]
        assert files
        assert not [it for it in files if KEY.encode() in it.read_bytes()]


@on_uvloop
async def test_a_key_of_no_use_is_named_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = make_key(b"w" * 32)
    async with gateway_before(ANSWERS, folder=tmp_path) as gateway:
        with caplog.at_level(logging.DEBUG):
            replies = [
                await gateway.post(CHAT, chat(), key=wrong),
                await gateway.post("/" + wrong, chat(), key=wrong),
                await gateway.post(CHAT, {**chat(), "model": MODEL}, key=wrong + "\t"),
            ]
        told = [reply.body for reply in replies]
        assert not [body for body in told if wrong[:12].encode() in body and b"nothing" not in body]
        assert wrong not in caplog.text
        assert not [sample for sample in gateway.samples() if wrong[:12] in str(sample)]


HOSTILE = [
    'x\n{"level":"info","message":"forged"}',
    "x\r\nx-injected: 1",
    "x\u2028\u2029\x85\x0b\x0c",
    "\x1b[2J\x1b[31m",
    "%s%n{0}{obj.__class__}${jndi:ldap://127.0.0.1/a}",
    "'; DROP TABLE keys; --",
]


@on_uvloop
async def test_what_callers_write_is_never_a_line_of_the_log_or_a_header(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = answering(b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n")
    async with gateway_before(broken, folder=tmp_path) as gateway:
        with caplog.at_level(logging.DEBUG):
            for text in HOSTILE:
                replies = [
                    await gateway.post(CHAT, {**chat(), "model": text}),
                    await gateway.post(CHAT, chat(user=text)),
                    await gateway.post(CHAT, {**chat(), text: text}),
                    await gateway.post(CHAT, chat(text)),
                ]
                assert {reply.status for reply in replies} <= {400, 404, 502}
                assert not [it for it in replies if "x-injected" in it.headers]
        lines = [JsonFormatter("gateway").format(record) for record in caplog.records]
        assert lines
        assert not [line for line in lines if len(line.splitlines()) != 1]
        assert not [line for line in lines if "forged" in line or "DROP TABLE" in line]
