"""A real socket, which comes and goes."""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from vllm_probe.sender import Sender
from vllm_probe.wire import VERSION, Hello, Update

HELLO = Hello(VERSION, "digest", "weights", ("any",))
UPDATE = Update("chatcmpl-ex-1-00", "prompt", 5, 4, (0.5,), False)


Told = TypeVar("Told")


class Listener:
    """Takes one connection and reads its frames."""

    def __init__(self, server: socket.socket) -> None:
        self._connection, _ = server.accept()
        self._file = self._connection.makefile("rb")

    def frame(self, kind: type[Told]) -> Told:
        (length,) = struct.unpack("!I", self._file.read(4))
        return msgspec.msgpack.decode(self._file.read(length), type=kind)

    def close(self) -> None:
        self._file.close()
        self._connection.close()


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        server.settimeout(10)
        yield server
    path.unlink()


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[Sender]:
    one = Sender(tmp_path / "probe.sock", HELLO)
    yield one
    one.close()


def test_who_speaks_comes_first_and_then_what_is_told(tmp_path: Path, sender: Sender) -> None:
    with listening(tmp_path / "probe.sock") as server:
        listener = Listener(server)
        assert listener.frame(Hello) == HELLO
        sender.tell([UPDATE])
        assert listener.frame(list[Update]) == [UPDATE]
        listener.close()


def test_while_nobody_listens_what_is_told_is_lost_and_counted(
    tmp_path: Path, sender: Sender
) -> None:
    sender.tell([UPDATE] * 3)
    until(lambda: sender.lost == 3)
    with listening(tmp_path / "probe.sock") as server:
        listener = Listener(server)
        assert listener.frame(Hello) == HELLO
        sender.tell([UPDATE])
        assert listener.frame(list[Update]) == [UPDATE]
        listener.close()


def test_a_gateway_that_comes_back_is_told_who_speaks_again(tmp_path: Path, sender: Sender) -> None:
    for _ in range(2):
        with listening(tmp_path / "probe.sock") as server:
            listener = Listener(server)
            assert listener.frame(Hello) == HELLO
            listener.close()
        sender.tell([UPDATE])
        sender.tell([UPDATE])
        until(sender._queue.empty)


def test_one_that_does_not_read_holds_nobody_up(tmp_path: Path, sender: Sender) -> None:
    with listening(tmp_path / "probe.sock") as server:
        listener = Listener(server)
        for _ in range(20_000):
            sender.tell([UPDATE] * 10)
        assert sender.lost > 0
        listener.close()


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)
