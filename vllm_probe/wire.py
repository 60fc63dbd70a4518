"""What the plugin tells a gateway: frames of four bytes of length and msgpack.

The first frame is a `Hello`, every other a list of `Update`s.
"""

import struct
from typing import Any, Final

import msgspec

from vllm_probe.steps import Floats

VERSION: Final = 1
MAX_FRAME_BYTES: Final = 4 * 1024 * 1024
_LENGTH: Final = struct.Struct("!I")


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


def framed(message: Any) -> bytes:  # noqa: ANN401  (a Hello or updates)
    """Return a message as it is sent."""
    body = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(body)) + body


def scores_of(floats: Floats) -> tuple[float, ...]:
    """Return scores as numbers that a message holds."""
    return tuple(floats.tolist())
