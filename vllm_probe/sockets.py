"""Gateways of this machine: each process listens in one folder, at `<its id>.sock`."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vllm_probe.meeting import Met
from vllm_probe.wire import SUFFIX

_CONNECT_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class SocketFile:
    """One process's socket."""

    path: Path

    def __str__(self) -> str:
        """Return its path."""
        return str(self.path)

    def meet(self) -> Met:
        """Connect; see `Place`."""
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            connection.settimeout(_CONNECT_S)
            connection.connect(str(self.path))
            stack.pop_all()
            return Met(self.path.name.removesuffix(SUFFIX), connection)


class SocketFolder:
    """The folder."""

    def __init__(self, folder: Path) -> None:
        """Look nowhere yet."""
        self._folder = folder

    def places(self) -> Iterator[SocketFile]:
        """Yield the sockets that are there."""
        return map(SocketFile, self._folder.glob(f"*{SUFFIX}"))
