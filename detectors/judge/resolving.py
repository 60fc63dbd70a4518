"""Names resolved within a deadline: the system's resolver takes no timeout of its own."""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

Lookup = Callable[[str, int], list[Any]]
_Asked = Future[list[Any]]


def _ask_system(host: str, port: int) -> list[Any]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Resolver:
    """Asks for the addresses of a name in a thread, one for each name at a time.

    Whoever has no time left stops waiting. The thread, which nothing can stop, goes on until
    the system gives up; meanwhile others wait for the same answer, so that no threads pile up.
    """

    def __init__(self, lookup: Lookup = _ask_system) -> None:
        """Ask nothing yet; `lookup` gives what `socket.getaddrinfo` does."""
        self._lookup: Final = lookup
        self._asked: dict[tuple[str, int], _Asked] = {}
        self._lock = threading.Lock()

    def addresses(self, host: str, port: int, timeout_s: float) -> list[str]:
        """Return the addresses of a name, in the system's order.

        Raises:
            TimeoutError: there is no answer within `timeout_s`.
            OSError: there is no such name.
        """
        found = self._ask(host, port).result(timeout_s)
        return list(dict.fromkeys(_spelt(*it[4]) for it in found))

    def _ask(self, host: str, port: int) -> _Asked:
        key = host, port
        with self._lock:
            asked = self._asked.get(key)
            if asked is None:
                asked = self._asked[key] = Future()
                threading.Thread(target=self._answer, args=key, daemon=True).start()
        return asked

    def _answer(self, host: str, port: int) -> None:
        asked = self._asked[host, port]
        try:
            found = self._lookup(host, port)
        except Exception as error:  # noqa: BLE001 - whoever waits is to have it
            self._forget(host, port)
            asked.set_exception(error)
        else:
            self._forget(host, port)
            asked.set_result(found)

    def _forget(self, host: str, port: int) -> None:
        with self._lock:
            del self._asked[host, port]


def _spelt(address: str, _port: int, _flow: int = 0, scope: int = 0) -> str:
    """Return an address of a socket as one that can be resolved again, without being asked for."""
    return f"{address}%{scope}" if scope else address
