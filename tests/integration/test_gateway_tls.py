"""TLS as the settings say it: of the gateway itself, and to its upstreams."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.real_parts.certificates import Certificate, self_signed
from tests.real_parts.gateway import (
    CHAT,
    RunningGateway,
    answer_of,
    chat,
    chat_body,
    gateway_before,
    rendered,
)
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import ScriptedUpstream, answering

GOOD = answering(answer_of(chat_body()))


def made_in(folder: Path) -> Certificate:
    folder.mkdir()
    return self_signed(folder, "IP:127.0.0.1")


@pytest.mark.parametrize("trusted", [True, False])
@on_uvloop
async def test_the_gateway_serves_with_the_certificate_of_its_settings(
    tmp_path: Path, *, trusted: bool
) -> None:
    made = made_in(tmp_path / "made")

    def with_tls(written: dict[str, Any]) -> None:
        tls = {"cert_file": str(made.certificate), "key_file": str(made.key)}
        written["gateway"]["tls"] = tls

    async with gateway_before(GOOD, folder=tmp_path, change=with_tls) as gateway:
        context = made.client_context() if trusted else ssl.create_default_context()
        opening = asyncio.open_connection("127.0.0.1", gateway.port, ssl=context)
        if not trusted:
            with pytest.raises(ssl.SSLCertVerificationError):
                await opening
            return
        reader, writer = await opening
        writer.write(rendered(CHAT, chat()))
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.transport.abort()


@asynccontextmanager
async def before_tls(
    folder: Path, server: ssl.SSLContext, **shown: Path
) -> AsyncIterator[RunningGateway]:
    """Run a gateway before an upstream that speaks TLS, with these settings of it."""
    async with ScriptedUpstream(GOOD, tls=server) as upstream:

        def with_tls(written: dict[str, Any]) -> None:
            settings = {name: str(path) for name, path in shown.items()}
            written["upstreams"][0] |= {"url": f"https://127.0.0.1:{upstream.port}", **settings}

        async with gateway_before(GOOD, folder=folder, change=with_tls) as gateway:
            yield gateway


@pytest.mark.parametrize("trusted", [True, False])
@on_uvloop
async def test_an_upstream_is_called_over_tls_if_its_authority_is_trusted(
    tmp_path: Path, *, trusted: bool
) -> None:
    made = made_in(tmp_path / "made")
    trust = {"ca_file": made.certificate} if trusted else {}
    async with before_tls(tmp_path, made.server_context(), **trust) as gateway:
        assert (await gateway.post(CHAT, chat())).status == (200 if trusted else 502)


@pytest.mark.parametrize("shown", [True, False])
@on_uvloop
async def test_an_upstream_that_asks_for_a_certificate_is_shown_that_of_the_settings(
    tmp_path: Path, *, shown: bool
) -> None:
    made, own = made_in(tmp_path / "made"), made_in(tmp_path / "own")
    context = made.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(own.certificate)
    certificate = {"cert_file": own.certificate, "key_file": own.key} if shown else {}
    async with before_tls(tmp_path, context, ca_file=made.certificate, **certificate) as gateway:
        assert (await gateway.post(CHAT, chat())).status == (200 if shown else 502)
