"""Gateways of other machines: names that stand for one process each, or many, and TLS.

Both sides show a certificate. Files are read anew for each connection, so that renewed ones are
taken without a restart of vLLM, which is long.
"""

import contextlib
import logging
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from vllm_probe.errors import ProbeError
from vllm_probe.meeting import Met
from vllm_probe.wire import LENGTH, MAX_WELCOME_BYTES, Welcome

_log = logging.getLogger("vllm.watchgate_probe")
_MEET_S: Final = 1.5
"""Until a gateway has said who it is."""
_LEAST_S: Final = 0.001
"""0 would mean not to wait, which is another mode."""
_UNHEARD_MS: Final = 5_000
"""A connection whose bytes nobody has acknowledged for so long is broken, and is made anew."""
_welcome: Final = msgspec.msgpack.Decoder(Welcome)


@dataclass(frozen=True, slots=True)
class Gateways:
    """`host:port` of the settings: the name that certificates must have, and where it listens."""

    host: str
    port: int


def gateways_of(text: str) -> list[Gateways]:
    """Read `host:port[,host:port]`, an IPv6 address in brackets.

    Raises:
        ProbeError: it is something else.
    """
    found = []
    for part in filter(None, map(str.strip, text.split(","))):
        host, _, port = part.rpartition(":")
        is_bare_ipv6 = ":" in host and not (host.startswith("[") and host.endswith("]"))
        is_port = port.isascii() and port.isdigit() and 0 < int(port) <= 65535  # noqa: PLR2004
        if not host or is_bare_ipv6 or not is_port or not _is_name(host):
            raise ProbeError(f"expected host:port, such as gateways.example.org:9470, not {part!r}")
        found.append(Gateways(host.strip("[]"), int(port)))
    return found


def _is_name(host: str) -> bool:
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


@dataclass(frozen=True, slots=True)
class Certificates:
    """What the plugin shows, and whom it believes."""

    cert: Path
    key: Path
    ca: Path

    def context(self) -> ssl.SSLContext:
        """Read the files.

        Raises:
            OSError: they cannot be used.
        """
        try:
            for file in (self.cert, self.key, self.ca):
                file.open().close()  # or else nobody would say which it is
            context = ssl.create_default_context(cafile=self.ca)
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.load_cert_chain(self.cert, self.key, password="")  # never asks on a terminal
        except (OSError, ValueError) as error:
            raise OSError(f"the plugin's own certificates cannot be used: {error}") from error
        return context


@dataclass(frozen=True, slots=True)
class Address:
    """One process's address."""

    host: str
    family: socket.AddressFamily
    address: tuple[Any, ...]
    """As the socket module has it: the first two are the IP address and the port."""
    certificates: Certificates

    def __str__(self) -> str:
        """Return its name and address."""
        return f"{self.host} ({self.address[0]}, port {self.address[1]})"

    def meet(self) -> Met:
        """Connect, prove who both are, and be told the gateway's id; see `Place`."""
        context = self.certificates.context()
        deadline = time.monotonic() + _MEET_S
        with contextlib.ExitStack() as stack:
            raw = stack.enter_context(socket.socket(self.family, socket.SOCK_STREAM))
            _wait_until(deadline, raw)
            raw.connect(self.address)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNHEARD_MS)
            _wait_until(deadline, raw)
            connection = context.wrap_socket(raw, server_hostname=self.host)
            stack.enter_context(connection)
            boot = _boot(connection, deadline)
            stack.pop_all()
            return Met(boot, connection)


class Addresses:
    """Looks names up: one of several processes, such as a headless Service's, has an address each.

    Belongs to one search at a time.
    """

    def __init__(self, gateways: Sequence[Gateways], certificates: Certificates) -> None:
        """Look up nothing yet."""
        self._gateways = gateways
        self._certificates = certificates
        self._unknown: set[Gateways] = set()

    def places(self) -> Iterator[Address]:
        """Yield all addresses of the names; of one that is not known now there are none."""
        for gateways in self._gateways:
            try:
                found = socket.getaddrinfo(gateways.host, gateways.port, type=socket.SOCK_STREAM)
            except OSError as error:
                if gateways not in self._unknown:
                    _log.warning("%s has no address: %s", gateways.host, error.strerror or error)
                self._unknown.add(gateways)
                continue
            self._unknown.discard(gateways)
            for family, _, _, _, address in found:
                yield Address(gateways.host, family, address, self._certificates)


def _wait_until(deadline: float, connection: socket.socket) -> None:
    connection.settimeout(max(_LEAST_S, deadline - time.monotonic()))


def _boot(connection: socket.socket, deadline: float) -> str:
    """Return the id that a gateway welcomes with; of its version the gateway itself judges."""
    (length,) = LENGTH.unpack(_exactly(connection, LENGTH.size, deadline))
    if length > MAX_WELCOME_BYTES:
        raise ConnectionError(f"no gateway's welcome has {length} bytes")
    try:
        return _welcome.decode(_exactly(connection, length, deadline)).boot
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ConnectionError("what came is no gateway's welcome") from None


def _exactly(connection: socket.socket, size: int, deadline: float) -> bytes:
    data = b""
    while len(data) < size:
        _wait_until(deadline, connection)
        if not (more := connection.recv(size - len(data))):
            raise ConnectionError("it ended the connection before it had said who it is")
        data += more
    return data
