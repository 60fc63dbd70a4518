"""Whether probes in vLLM tell: a real gateway knows within ten seconds, and does as settings say.

At the other end is the plugin's own sender, or a socket that does what no plugin should.
"""

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.real_parts.gateway import (
    CHAT,
    MODEL,
    Reply,
    RunningGateway,
    answer_of,
    chat,
    chat_body,
    gateway_before,
)
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import answering, eventually
from vllm_probe.sender import Sender
from vllm_probe.sockets import SocketFolder
from vllm_probe.wire import SUFFIX, VERSION, Hello, framed

KNOWN_S: Final = 10.0
OURS: Final = Hello(VERSION, "a" * 64, "w1", ("any",))
OTHERS: Final = Hello(VERSION, "b" * 64, "w1", ("any",))
ANSWERS: Final = answering(answer_of(chat_body()))


class Site:
    """A gateway, and where plugins find it."""

    def __init__(self, gateway: RunningGateway, sockets: Path) -> None:
        self.gateway = gateway
        self._sockets = sockets

    @contextmanager
    def plugin(self, hello: Hello = OURS) -> Iterator[Sender]:
        """Let a plugin tell for a while, as it does in a vLLM that runs for so long."""
        with Sender(SocketFolder(self._sockets), hello) as sender:
            yield sender

    def connection(self) -> socket.socket:
        """Connect as a plugin does, which then says nothing more."""
        (path,) = self._sockets.glob(f"*{SUFFIX}")
        made = socket.socket(socket.AF_UNIX)
        made.connect(str(path))
        made.sendall(framed(OURS))
        return made

    def is_active(self) -> bool:
        return bool(self.gateway.metric("safeguard_active", model=MODEL, safeguard="probes"))

    async def becomes(self, *, active: bool) -> None:
        """Wait until the gateway knows, which it must in time."""
        await eventually(lambda: self.is_active() is active, deadline_s=KNOWN_S)

    async def ask(self) -> Reply:
        return await self.gateway.post(CHAT, chat())


@asynccontextmanager
async def site(folder: Path, *, required: bool, replicas: int = 1) -> AsyncIterator[Site]:
    """Run a gateway that asks for our probes, and looks at its safeguards once a second.

    Of several replicas all but the first are down.
    """
    sockets = folder / "p"

    def with_probes(written: dict[str, Any]) -> None:
        upstream = written["upstreams"][0]
        upstream["probes"] = {
            "sockets": str(sockets),
            "digest": OURS.digest,
            "required": required,
        }
        url = upstream.pop("url")
        upstream["urls"] = [url.replace("127.0.0.1", f"127.0.0.{n + 1}") for n in range(replicas)]
        written["store"]["poll_s"] = 1.0

    async with gateway_before(ANSWERS, folder=folder, change=with_probes) as gateway:
        yield Site(gateway, sockets)


LOSSES: Final[dict[str, Callable[[socket.socket], object]]] = {
    "the connection breaks": socket.socket.close,
    "nothing more comes": lambda _: None,
    "garbage comes": lambda it: it.sendall(b"GET / HTTP/1.1\r\n\r\n"),
}


@pytest.mark.parametrize("loss", LOSSES)
@on_uvloop
async def test_probes_that_are_not_required_are_shown_inactive_and_all_is_served(
    tmp_path: Path, loss: str
) -> None:
    async with site(tmp_path, required=False) as one:
        assert not one.is_active()
        assert (await one.ask()).status == 200
        with closing(one.connection()) as plugin:
            await one.becomes(active=True)
            assert (await one.ask()).status == 200
            LOSSES[loss](plugin)
            await one.becomes(active=False)
            assert (await one.ask()).status == 200
        with one.plugin():
            await one.becomes(active=True)
            assert (await one.ask()).status == 200
        assert one.gateway.outcomes() == {"completed": 4}
        assert one.gateway.parts.reasons() == []


@on_uvloop
async def test_probes_that_are_required_stop_the_model_until_vllm_tells_again(
    tmp_path: Path,
) -> None:
    async with site(tmp_path, required=True) as one:
        reply = await one.ask()
        assert (reply.status, reply.code) == (503, "safeguard_inactive")
        why = "The safeguard 'probes' is not active: 0 of 1 replicas tell what their probes see."
        assert reply.json["error"]["message"] == why
        assert [(it.code, it.model, it.message) for it in one.gateway.parts.reasons()] == [
            ("safeguard_inactive", MODEL, why)
        ]
        for _ in range(2):  # it is started, and again
            with one.plugin():
                await one.becomes(active=True)
                assert (await one.ask()).status == 200
            await one.becomes(active=False)
            assert (await one.ask()).status == 503
        assert len(one.gateway.upstream.requests) == 2


@on_uvloop
async def test_a_vllm_that_starts_again_with_other_probes_is_not_taken_for_ours(
    tmp_path: Path,
) -> None:
    async with site(tmp_path, required=True) as one:
        with one.plugin():
            await one.becomes(active=True)
        with one.plugin(OTHERS):
            await one.becomes(active=False)
            refused = ("probe_connections_refused_total", {"reason": "digest"})
            await eventually(lambda: one.gateway.metric(refused[0], **refused[1]) >= 2)
            assert not one.is_active()
            assert (await one.ask()).status == 503


@on_uvloop
async def test_of_two_replicas_both_must_tell_though_one_is_down(tmp_path: Path) -> None:
    async with site(tmp_path, required=True, replicas=2) as one:
        with one.plugin():
            told = "1 of 2 replicas tells what its probes see"
            board = one.gateway.parts.board
            await eventually(lambda: told in str(board.reasons()), deadline_s=KNOWN_S)
            assert told in (await one.ask()).json["error"]["message"]
            with one.plugin():
                await one.becomes(active=True)
                assert (await one.ask()).status == 200
            await one.becomes(active=False)
