"""What Linux tells of this machine's listeners, processes and locks, without touching them."""

import os
import socket
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
_LISTENING: Final = "0A"


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that takes connections."""

    address: IPv4Address | IPv6Address
    inode: str

    @property
    def is_loopback(self) -> bool:
        """Say whether this machine alone reaches it."""
        mapped = getattr(self.address, "ipv4_mapped", None)
        return (mapped or self.address).is_loopback


def listeners_on(port: int, proc: Path = PROC) -> list[Listener] | None:
    """Return who listens on a TCP port of this machine; None where the system does not tell."""
    tables = [proc / "net" / name for name in ("tcp", "tcp6")]
    if not tables[0].exists():
        return None
    texts = [table.read_text() for table in tables if table.exists()]
    return [it for text in texts for it in listeners_in(text, port)]


def listeners_in(table: str, port: int) -> Iterator[Listener]:
    """Yield the listeners on a port that a table such as /proc/net/tcp shows."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        address, _, hex_port = fields[1].partition(":")
        if fields[3] == _LISTENING and int(hex_port, 16) == port:
            yield Listener(_address(address), fields[9])


def _address(text: str) -> IPv4Address | IPv6Address:
    """Read an address as the kernel prints it: words of 32 bits in the machine's byte order."""
    words = [bytes.fromhex(text[i : i + 8])[::-1] for i in range(0, len(text), 8)]
    return ip_address(b"".join(words))


def is_of_this_machine(host: str) -> bool:
    """Say whether a host's addresses are this machine's: those are what it can bind.

    Raises:
        OSError: the name cannot be resolved.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return all(_can_bind(family, str(address[0])) for family, _, _, _, address in found)


def _can_bind(family: int, address: str) -> bool:
    with socket.socket(family) as one:
        try:
            one.bind((address, 0))
        except OSError:
            return False
    return True


def command_of(inodes: Collection[str], proc: Path = PROC) -> list[str] | None:
    """Return the command line of a vLLM that holds one of the sockets; None if none is seen.

    The processes of other users hide their sockets, except from root.
    """
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in proc.glob("[0-9]*"):
        if _holds(process, wanted) and (words := _words(process)):
            return words
    return None


def _holds(process: Path, wanted: Collection[str]) -> bool:
    try:
        return any(str(it.readlink()) in wanted for it in (process / "fd").iterdir())
    except OSError:  # gone, or another user's
        return False


def _words(process: Path) -> list[str]:
    try:
        command = (process / "cmdline").read_bytes()
    except OSError:
        return []
    words = command.decode(errors="replace").rstrip("\0").split("\0")
    # a helper of vLLM's has a title in place of its command line
    return words if len(words) > 1 and any("vllm" in word for word in words) else []


def holder_of(lock: Path, proc: Path = PROC) -> int | None:
    """Return the id of the process that holds flock on a file; None: nobody that is seen."""
    found = lock.stat()
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    return holder_in((proc / "locks").read_text(), device)


def holder_in(table: str, file: str) -> int | None:
    """Return who holds flock on `major:minor:inode`, by a table such as /proc/locks."""
    for line in table.splitlines():
        fields: Sequence[str] = line.split()
        if fields[1] == "FLOCK" and fields[5] == file:
            return int(fields[4])
    return None
