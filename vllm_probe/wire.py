"""What the plugin tells a gateway: frames of four bytes of length and msgpack.

The first frame is a `Hello`, every other a list of `Update`s; an empty one says that it lives. The
gateway says nothing, but over TCP one `Welcome` before all: an address does not say whose it is.
"""

import struct
from typing import Any, Final

import msgspec

VERSION: Final = 1
MAX_FRAME_BYTES: Final = 4 * 1024 * 1024
MAX_WELCOME_BYTES: Final = 1024
SUFFIX: Final = ".sock"
"""Of the sockets in the folder where gateway processes listen, each by the id that is in the ids
of its exchanges."""
LENGTH: Final = struct.Struct("!I")


class Welcome(msgspec.Struct, array_like=True, frozen=True):
    """Which gateway process listens."""

    version: int
    boot: str
    """The id that is in the ids of its exchanges."""


class Hello(msgspec.Struct, array_like=True, frozen=True):
    """Who speaks: the probes, and the weights that they read."""

    version: int
    digest: str
    weights: str
    categories: tuple[str, ...]


class Update(msgspec.Struct, array_like=True, frozen=True):
    """What is known of a part of a request so far; the last that comes counts."""

    request: str
    """vLLM's id: the gateway's own stands in it."""
    part: str
    """`prompt` or `answer`."""
    tokens: int
    read: int
    """Of so many there were activations."""
    scores: tuple[float, ...]
    """Log-odds, by the categories of the `Hello`."""
    ended: bool
    """The request has ended: of this part nothing more comes."""


def framed(message: Any) -> bytes:  # noqa: ANN401  (a Welcome, a Hello or updates)
    """Return a message as it is sent."""
    body = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(body)) + body
