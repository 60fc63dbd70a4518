"""Real sockets, which come and go."""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from vllm_probe.sender import BEAT_S, Sender
from vllm_probe.sockets import SocketFolder
from vllm_probe.wire import SUFFIX, VERSION, Hello, Update, framed

HELLO = Hello(VERSION, "digest", "weights", ("any",))
FIRST, SECOND = "0123456789abcdef", "fedcba9876543210"

Told = TypeVar("Told")


def update_of(gateway: str, number: int = 1) -> Update:
    return Update(f"chatcmpl-ex-{gateway}{number:08x}-1a2b3c4d", "prompt", 5, 4, (0.5,), False)


UPDATE = update_of(FIRST)


class Listener:
    """Takes one connection and reads its frames."""

    def __init__(self, server: socket.socket) -> None:
        self._connection, _ = server.accept()
        self._file = self._connection.makefile("rb")
        assert self.frame(Hello) == HELLO

    def frame(self, kind: type[Told]) -> Told:
        (length,) = struct.unpack("!I", self._file.read(4))
        return msgspec.msgpack.decode(self._file.read(length), type=kind)

    def updates(self) -> list[Update]:
        """Return the next updates that are some."""
        while not (found := self.frame(list[Update])):
            pass
        return found

    def rest(self) -> bytes:
        """Return what comes until the plugin hangs up."""
        return self._file.read()

    def close(self) -> None:
        self._file.close()
        self._connection.close()


@contextmanager
def listening(folder: Path, gateway: str = FIRST) -> Iterator[socket.socket]:
    path = folder / f"{gateway}{SUFFIX}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        server.settimeout(10)
        yield server
    path.unlink()


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[Sender]:
    with Sender(SocketFolder(tmp_path), HELLO) as one:
        yield one


def test_who_speaks_comes_first_and_then_what_is_told(tmp_path: Path, sender: Sender) -> None:
    with listening(tmp_path) as server:
        listener = Listener(server)
        sender.tell([UPDATE])
        assert listener.updates() == [UPDATE]
        listener.close()


def test_each_gateway_is_told_of_its_own_exchanges(tmp_path: Path, sender: Sender) -> None:
    with listening(tmp_path) as one, listening(tmp_path, SECOND) as other:
        first, second = Listener(one), Listener(other)
        mixed = [update_of(FIRST, 1), update_of(SECOND, 2), update_of(FIRST, 3)]
        sender.tell(mixed)
        assert first.updates() == [mixed[0], mixed[2]]
        assert second.updates() == [mixed[1]]
        first.close()
        second.close()


def test_what_is_of_no_gateway_is_told_to_all(tmp_path: Path, sender: Sender) -> None:
    with listening(tmp_path) as one, listening(tmp_path, SECOND) as other:
        listeners = [Listener(one), Listener(other)]
        stranger = Update("chatcmpl-mine-1a2b3c4d", "prompt", 5, 4, (0.5,), False)
        sender.tell([stranger])
        for it in listeners:
            assert it.updates() == [stranger]
            it.close()
    assert sender.lost == 0


def test_a_sign_of_life_comes_without_anything_to_tell(tmp_path: Path, sender: Sender) -> None:
    with listening(tmp_path) as server:
        listener = Listener(server)
        assert listener.frame(list[Update]) == []
        assert listener.frame(list[Update]) == []
        listener.close()
    assert sender.lost == 0


def test_while_nobody_listens_what_is_told_is_lost_and_counted(
    tmp_path: Path, sender: Sender
) -> None:
    sender.tell([UPDATE] * 3)
    until(lambda: sender.lost == 3)
    with listening(tmp_path) as server:
        listener = Listener(server)
        sender.tell([UPDATE])
        assert listener.updates() == [UPDATE]
        listener.close()


def test_a_gateway_that_comes_back_is_told_who_speaks_again(tmp_path: Path, sender: Sender) -> None:
    for _ in range(2):
        with listening(tmp_path) as server:
            Listener(server).close()
        sender.tell([UPDATE])
        sender.tell([UPDATE])
        until(sender._queue.empty)


def test_one_that_does_not_read_holds_nobody_up(tmp_path: Path, sender: Sender) -> None:
    with listening(tmp_path) as server, listening(tmp_path, SECOND) as other:
        hung, reads = Listener(server), Listener(other)
        sender.tell([UPDATE] * 100_000)  # more than the system takes
        sender.tell([update_of(SECOND)])
        assert reads.updates() == [update_of(SECOND)]
        until(lambda: sender.lost == 100_000)
        for _ in range(2_000):
            sender.tell([UPDATE])  # whatever becomes of it, it returns
        hung.close()
        reads.close()


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_who_ends_hangs_up_and_waits_for_nothing(sender: Sender, tmp_path: Path) -> None:
    with listening(tmp_path) as server:
        listener = Listener(server)
        sender.end()
        beats = listener.rest()
        assert beats == framed([]) * (len(beats) // len(framed([])))
        listener.close()


def test_nobody_is_told_of_a_plugin_that_was_not_started(tmp_path: Path) -> None:
    with listening(tmp_path) as server:
        Sender(SocketFolder(tmp_path), HELLO).tell([UPDATE])
        server.settimeout(2 * BEAT_S)
        with pytest.raises(TimeoutError):
            server.accept()
