"""A stand-in for a vLLM whose plugin tells what probes read, and a gateway that it is told to."""

import re
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from detectors.api import Category
from service.gateway.probe_link import ProbeLink
from service.wiring.detectors import Detectors
from tests.real_parts.gateway import (
    DONE,
    MODEL,
    STREAM_END,
    STREAM_HEAD,
    RunningGateway,
    answer_of,
    chat_body,
    event,
    framed,
    gateway_before,
    screener_beats,
)
from tests.real_parts.reading_detector import NAME, PROBES, InsideDetector
from tests.real_parts.scripted import Peer, eventually
from vllm_probe.sender import Sender
from vllm_probe.sockets import SocketFolder
from vllm_probe.watch import EVERY_STEPS
from vllm_probe.wire import VERSION, Hello, Update

DETECTORS: Final = Detectors({NAME: InsideDetector}, {NAME: frozenset({Category.ANY})})
Change = Callable[[dict[str, Any]], None]
WINDOW: Final = 40
TOKENS: Final = 64
WORD: Final = "word "
RISES: Final = (-4.0, -1.0, 4.0)
"""What the probe reads after 8, 16 and 24 tokens: the last crosses."""
CROSSED_AT: Final = len(RISES) * EVERY_STEPS
_EXCHANGE: Final = re.compile(rb"x-request-id: (ex-[0-9a-f]{24})")


@dataclass
class ProbedVllm:
    """Streams an answer token by token, and tells every so often what probes read of it."""

    rises: tuple[float, ...] = RISES
    """The log-odds each time, of the last choice."""
    probes: str = PROBES
    unread: int = 0
    """So many of the tokens the probes did not see."""
    choices: int = 1
    link: ProbeLink | None = None
    sender: Sender | None = None

    async def __call__(self, peer: Peer) -> None:
        while True:
            request = await peer.request()
            found = _EXCHANGE.search(request)
            assert found is not None
            exchange = found[1].decode()
            if b'"stream":true' not in request:
                for number in range(len(self.rises)):
                    await self.tell(exchange, number)
                await peer.send(answer_of(chat_body(WORD * TOKENS)))
                continue
            await peer.send(STREAM_HEAD)
            for token in range(1, TOKENS + 1):
                number, is_between = divmod(token, EVERY_STEPS)
                if not is_between and number <= len(self.rises):
                    await self.tell(exchange, number - 1)
                for choice in range(self.choices):
                    await peer.send(framed(chunk(choice, WORD)))
            for choice in range(self.choices):
                await peer.send(framed(chunk(choice, None)))
            await peer.send(framed(DONE) + STREAM_END)

    async def tell(self, exchange: str, number: int) -> None:
        """Tell what was read, and wait until the gateway knows."""
        link, sender = self.link, self.sender
        assert link is not None
        assert sender is not None
        tokens = (number + 1) * EVERY_STEPS
        read = max(0, tokens - self.unread)
        updates = [
            Update(
                f"{choice}_chatcmpl-{exchange}-1a2b3c4d",
                "answer",
                tokens,
                read,
                (self.rises[number] if choice == self.choices - 1 else min(self.rises),),
                False,
            )
            for choice in range(self.choices)
        ]
        sender.tell(updates)

        def is_known() -> bool:
            probed = link.probed(exchange)
            return (
                probed is not None
                and probed.answer is not None
                and probed.answer.tokens == tokens * self.choices
            )

        await eventually(is_known)


def chunk(choice: int, text: str | None) -> bytes:
    delta = {} if text is None else {"content": text}
    finish = "stop" if text is None else None
    said = {"index": choice, "delta": delta, "finish_reason": finish}
    return event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [said]})


def cutting_off(mode: str = "window", **screening: object) -> Change:
    """Let what the probes read cut answers off."""

    def change(written: dict[str, Any]) -> None:
        point = {"category": "any", "part": "answer", "threshold": 0.9, "action": "block"}
        written["operating_points"] = [{**point, "detector": NAME}]
        policy = {"answer": {"mode": mode, "window_chars": WINDOW, "on_error": "refuse"}}
        written["screening"] = {"tiers": {1: policy}, **screening}

    return change


@asynccontextmanager
async def probed_gateway(
    vllm: ProbedVllm, folder: Path, change: Change | None = None
) -> AsyncIterator[RunningGateway]:
    """Run a gateway before a vLLM whose plugin has found it."""
    with tempfile.TemporaryDirectory() as sockets:  # its name is short enough for a socket's

        def changed(written: dict[str, Any]) -> None:
            written["upstreams"][0]["probes"] = {"sockets": sockets}
            (change or cutting_off())(written)

        async with gateway_before(
            vllm,
            folder=folder,
            tier=1,
            change=changed,
            prepare=screener_beats,
            detectors=DETECTORS,
        ) as gateway:
            vllm.link = gateway.pipeline.models[MODEL].upstream.probes
            hello = Hello(VERSION, vllm.probes, "w", ("any",))
            with Sender(SocketFolder(Path(sockets)), hello) as vllm.sender:
                await eventually(lambda: vllm.link is not None and vllm.link.engines == 1)
                yield gateway
