"""The gateway's end of the probes' socket, with the plugin's own sender at the other."""

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from service.core.probed import Probed, Reading
from service.gateway.probe_doors import SocketDoor
from service.gateway.probe_link import LinkTallies, ProbeLink
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import eventually
from vllm_probe.sender import Sender
from vllm_probe.sockets import SocketFolder
from vllm_probe.wire import SUFFIX, VERSION, Hello, Update, framed

BOOT: Final = "0123456789abcdef"
SOCKET: Final = f"{BOOT}{SUFFIX}"
EXCHANGE: Final = f"ex-{BOOT}00000001"
REQUEST: Final = f"chatcmpl-{EXCHANGE}-1a2b3c4d"
NOTHING_YET: Final = Probed("", ())
HELLO: Final = Hello(VERSION, "d1", "w1", ("any", "cyber"))


def prompt_of(request: str = REQUEST, scores: tuple[float, ...] = (0.5, -1.0)) -> Update:
    return Update(request, "prompt", 12, 12, scores, False)


class Counts:
    """What the link counts."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()

    @property
    def tallies(self) -> LinkTallies:
        def add(name: str, count: int) -> None:
            self.counted[name] += count

        return LinkTallies(add, lambda reason: add(reason, 1), lambda _: None)


def names_in(folder: Path) -> list[str]:
    return sorted(it.name for it in folder.iterdir())


@contextmanager
def sending(folder: Path, hello: Hello = HELLO) -> Iterator[Sender]:
    with Sender(SocketFolder(folder), hello) as sender:
        yield sender


@on_uvloop
async def test_scores_of_an_open_exchange_are_known_until_it_is_forgotten(tmp_path: Path) -> None:
    counts = Counts()
    link = ProbeLink(SocketDoor(tmp_path), BOOT, "d1", counts.tallies)
    async with link.listening():
        link.expect(EXCHANGE)
        assert link.probed(EXCHANGE) == NOTHING_YET
        with sending(tmp_path) as sender:
            await eventually(lambda: link.engines == 1)
            sender.tell([prompt_of(), Update(REQUEST, "answer", 9, 8, (1.0, 2.0), False)])
            await eventually(lambda: counts.counted["taken"] == 2)
        assert link.probed(EXCHANGE) == Probed(
            "d1",
            ("any", "cyber"),
            Reading(12, 12, (0.5, -1.0)),
            Reading(9, 8, (1.0, 2.0)),
        )
        link.forget(EXCHANGE)
        assert link.probed(EXCHANGE) is None
        await eventually(lambda: link.engines == 0)
    assert +counts.counted == {"taken": 2}
    assert not names_in(tmp_path)


@on_uvloop
async def test_what_is_of_no_open_exchange_is_counted_and_not_kept(tmp_path: Path) -> None:
    counts = Counts()
    link = ProbeLink(SocketDoor(tmp_path), BOOT, None, counts.tallies)
    async with link.listening():
        with sending(tmp_path) as sender:
            await eventually(lambda: link.engines == 1)
            sender.tell([prompt_of(), prompt_of("chatcmpl-past-the-gateway-1a2b3c4d")])
            await eventually(lambda: counts.counted["unknown"] == counts.counted["late"] == 1)
        assert link.probed(EXCHANGE) is None


@pytest.mark.parametrize(
    ("hello", "reason"),
    [
        (Hello(VERSION + 1, "d1", "w1", ("any",)), "version"),
        (Hello(VERSION, "d2", "w1", ("any",)), "digest"),
    ],
)
@on_uvloop
async def test_other_probes_than_the_ones_expected_are_refused(
    tmp_path: Path, hello: Hello, reason: str
) -> None:
    counts = Counts()
    link = ProbeLink(SocketDoor(tmp_path), BOOT, "d1", counts.tallies)
    async with link.listening():
        with sending(tmp_path, hello):
            await eventually(lambda: counts.counted[reason] > 0)
        assert link.engines == 0


NONSENSE: Final[Sequence[Any]] = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"\xff" * 100,
    framed(["not", "a", "hello"]),
    framed(HELLO) + framed({"not": "updates"}),
    framed(HELLO) + framed([prompt_of(scores=(0.5,))]),
    framed(HELLO) + framed([prompt_of(scores=(0.5, float("nan")))]),
    framed(HELLO) + framed([Update(REQUEST, "thought", 1, 1, (0.5, 1.0), False)]),
    framed(HELLO) + framed([Update(REQUEST, "prompt", 1, 2, (0.5, 1.0), False)]),
]


@pytest.mark.parametrize("said", NONSENSE)
@on_uvloop
async def test_nonsense_ends_its_own_connection_and_is_counted(tmp_path: Path, said: bytes) -> None:
    counts = Counts()
    link = ProbeLink(SocketDoor(tmp_path), BOOT, "d1", counts.tallies)
    async with link.listening():
        link.expect(EXCHANGE)
        with sending(tmp_path) as sender, socket.socket(socket.AF_UNIX) as other:
            await eventually(lambda: link.engines == 1)
            other.setblocking(False)
            await asyncio.get_running_loop().sock_connect(other, str(tmp_path / SOCKET))
            await asyncio.get_running_loop().sock_sendall(other, said)
            await eventually(lambda: counts.counted["garbage"] == 1)
            assert link.probed(EXCHANGE) == NOTHING_YET
            sender.tell([prompt_of()])
            await eventually(lambda: link.probed(EXCHANGE) != NOTHING_YET)
            assert link.engines == 1


@on_uvloop
async def test_a_plugin_that_falls_silent_is_gone_in_time(tmp_path: Path) -> None:
    counts = Counts()
    link = ProbeLink(SocketDoor(tmp_path), BOOT, None, counts.tallies)
    async with link.listening():
        with socket.socket(socket.AF_UNIX) as other:
            other.setblocking(False)
            await asyncio.get_running_loop().sock_connect(other, str(tmp_path / SOCKET))
            await asyncio.get_running_loop().sock_sendall(other, framed(HELLO))
            await eventually(lambda: link.engines == 1)
            await eventually(lambda: link.engines == 0, deadline_s=10)
    assert counts.counted["silent"] == 1


@on_uvloop
async def test_a_plugin_tells_each_of_two_gateways_of_its_own(tmp_path: Path) -> None:
    other_boot = "fedcba9876543210"
    other_exchange = f"ex-{other_boot}00000001"
    links = [
        ProbeLink(SocketDoor(tmp_path), boot, None, Counts().tallies) for boot in (BOOT, other_boot)
    ]
    async with links[0].listening(), links[1].listening():
        links[0].expect(EXCHANGE)
        links[1].expect(other_exchange)
        with sending(tmp_path) as sender:
            await eventually(lambda: all(it.engines == 1 for it in links))
            sender.tell([prompt_of(), prompt_of(f"cmpl-{other_exchange}-0-1a2b3c4d")])
            await eventually(lambda: links[0].probed(EXCHANGE) != NOTHING_YET)
            await eventually(lambda: links[1].probed(other_exchange) != NOTHING_YET)


@on_uvloop
async def test_what_a_dead_process_left_is_removed_and_a_living_one_is_not(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / f"dead{SUFFIX}"))
    living = ProbeLink(SocketDoor(tmp_path), "living", None, Counts().tallies)
    link = ProbeLink(SocketDoor(tmp_path), BOOT, None, Counts().tallies)
    async with living.listening(), link.listening():
        assert names_in(tmp_path) == [SOCKET, f"living{SUFFIX}"]
        assert (tmp_path / SOCKET).stat().st_mode & 0o777 == 0o600
