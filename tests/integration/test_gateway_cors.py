"""What a browser is told about pages of other origins."""

from pathlib import Path
from typing import Any

import pytest

from service.gateway.asgi import SEND_NOW, SEND_WHOLE, Receive, Scope, Send
from service.gateway.cors import Cors, CorsPolicy
from tests.real_parts.gateway import (
    CHAT,
    DONE,
    RunningGateway,
    answer_of,
    chat,
    chat_body,
    chat_event,
    gateway_before,
    streaming,
)
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import answering

GOOD = answering(answer_of(chat_body()))
PAGE = "https://app.example.org"
ALLOW = "access-control-allow-origin"


def allowing(*origins: str, **more: object) -> Any:  # noqa: ANN401  (a change of the settings)
    def change(written: dict[str, Any]) -> None:
        written["gateway"]["cors"] = {"allow_origins": list(origins), **more}

    return change


async def preflight(
    gateway: RunningGateway, path: str = CHAT, origin: str = PAGE, method: str = "POST"
) -> tuple[int, dict[str, str]]:
    asked = [
        ("origin", origin),
        ("access-control-request-method", method),
        ("access-control-request-headers", "authorization, content-type, x-stainless-os"),
    ]
    connection = await gateway.begin(path, headers=asked, key=None, method="OPTIONS")
    return await connection.head()


@on_uvloop
async def test_a_preflight_is_answered_without_a_key(tmp_path: Path) -> None:
    async with gateway_before(GOOD, folder=tmp_path, change=allowing(PAGE)) as gateway:
        status, headers = await preflight(gateway)
        assert status == 204
        assert headers[ALLOW] == PAGE
        assert headers["access-control-allow-methods"] == "POST"
        asked = "authorization, content-type, x-stainless-os"
        assert headers["access-control-allow-headers"] == asked
        assert headers["access-control-max-age"] == "600"
        assert headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in headers
        assert gateway.kinds() == []


@pytest.mark.parametrize(
    ("path", "origin", "method", "status"),
    [
        (CHAT, "https://elsewhere.example.org", "POST", 405),
        (CHAT, PAGE + ".evil.example", "POST", 405),
        (CHAT, "null", "POST", 405),
        (CHAT, PAGE, "DELETE", 405),
        ("/v1/models", PAGE, "POST", 405),
        ("/metrics", PAGE, "GET", 404),
    ],
)
@on_uvloop
async def test_any_other_preflight_is_refused_as_without_the_setting(
    tmp_path: Path, path: str, origin: str, method: str, status: int
) -> None:
    async with gateway_before(GOOD, folder=tmp_path, change=allowing(PAGE)) as gateway:
        got, headers = await preflight(gateway, path, origin, method)
        assert got == status
        assert "access-control-allow-methods" not in headers
        assert headers.get(ALLOW) == (PAGE if origin == PAGE else None)


@on_uvloop
async def test_the_refusal_of_a_preflight_names_the_setting(tmp_path: Path) -> None:
    async with gateway_before(GOOD, folder=tmp_path) as gateway:
        for path in (CHAT, "/v1/models"):
            reply = await gateway.get(path, headers=[("origin", PAGE)], method="OPTIONS")
            assert (reply.status, reply.code) == (405, "method_not_allowed")
            assert "gateway.cors" in reply.json["error"]["message"]
        reply = await gateway.get(CHAT, method="PUT")
        assert "gateway.cors" not in reply.json["error"]["message"]


@on_uvloop
async def test_the_log_names_the_setting_and_an_origin_that_it_leaves_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with gateway_before(GOOD, folder=tmp_path, change=allowing(PAGE)) as gateway:
        await preflight(gateway)
        await preflight(gateway, origin="null")
        await preflight(gateway, origin="http://elsewhere.example.org/x\xff")
        assert refused_origins(caplog) == []
        for _ in range(3):
            await preflight(gateway, origin="http://app.example.org")
        assert refused_origins(caplog) == ["http://app.example.org"]
        assert "gateway.cors.allow_origins" in caplog.text


def refused_origins(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.origin for record in caplog.records if hasattr(record, "origin")]


async def test_the_log_tells_of_one_refused_origin_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        pass

    def nothing(*_: Any) -> Any:  # noqa: ANN401
        return True

    async def never(*_: Any) -> Any:  # noqa: ANN401
        raise AssertionError

    now = 0.0
    cors = Cors(app, CorsPolicy([PAGE], (), (), 0), lambda: now)
    scope: Scope = {
        "type": "http",
        "method": "OPTIONS",
        "path": CHAT,
        "headers": [(b"origin", b"http://a"), (b"access-control-request-method", b"POST")],
        "extensions": {SEND_NOW: nothing, SEND_WHOLE: nothing},
    }
    for now in (0.0, 1.0, 59.9, 60.0, 61.0, 120.0):  # noqa: B007  (the clock reads it)
        await cors(scope, never, never)
    assert len(refused_origins(caplog)) == 3


@on_uvloop
async def test_answers_and_errors_may_be_read_by_pages_that_are_allowed(tmp_path: Path) -> None:
    async with gateway_before(GOOD, folder=tmp_path, change=allowing(PAGE)) as gateway:
        for body, status in ((chat(), 200), (b"{", 400)):
            reply = await gateway.post(CHAT, body, headers=[("origin", PAGE)])
            assert reply.status == status
            assert reply.headers[ALLOW] == PAGE
            exposed = reply.headers["access-control-expose-headers"]
            assert exposed.startswith("x-request-id, x-watchgate-receipt, retry-after, ")
            assert "x-ratelimit-remaining-tokens" in exposed.split(", ")
            assert reply.headers["vary"] == "Origin"
        for headers in ([], [("origin", "https://elsewhere.example.org")]):
            reply = await gateway.post(CHAT, chat(), headers=headers)
            assert reply.status == 200
            assert ALLOW not in reply.headers
            assert reply.headers["vary"] == "Origin"


@on_uvloop
async def test_a_stream_may_be_read_too(tmp_path: Path) -> None:
    script = streaming(chat_event("Hi"), DONE)
    async with gateway_before(script, folder=tmp_path, change=allowing(PAGE)) as gateway:
        reply = await gateway.post(CHAT, chat(stream=True), headers=[("origin", PAGE)])
        assert reply.headers[ALLOW] == PAGE
        assert reply.body.endswith(DONE)


@on_uvloop
async def test_any_origin_is_allowed_by_an_asterisk(tmp_path: Path) -> None:
    async with gateway_before(GOOD, folder=tmp_path, change=allowing("*")) as gateway:
        reply = await gateway.post(CHAT, chat(), headers=[("origin", PAGE)])
        assert reply.headers[ALLOW] == "*"
        assert "vary" not in reply.headers
        assert (await preflight(gateway))[1][ALLOW] == "*"


@on_uvloop
async def test_headers_are_those_of_the_settings_where_they_are_named(tmp_path: Path) -> None:
    change = allowing(PAGE, allow_headers=["authorization"], expose_headers=[], max_age_s=5)
    async with gateway_before(GOOD, folder=tmp_path, change=change) as gateway:
        _, headers = await preflight(gateway)
        assert headers["access-control-allow-headers"] == "authorization"
        assert headers["access-control-max-age"] == "5"
        reply = await gateway.post(CHAT, chat(), headers=[("origin", PAGE)])
        assert "access-control-expose-headers" not in reply.headers


@on_uvloop
async def test_without_the_setting_no_page_of_another_origin_may_call(tmp_path: Path) -> None:
    async with gateway_before(GOOD, folder=tmp_path) as gateway:
        status, headers = await preflight(gateway)
        assert status == 405
        reply = await gateway.post(CHAT, chat(), headers=[("origin", PAGE)])
        for got in (headers, reply.headers):
            assert not any(name == "vary" or "access-control" in name for name in got)
        assert gateway.server.config.app is gateway.parts.app
