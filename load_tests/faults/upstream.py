"""vLLM away, slow, silent, or speaking nonsense; and the line to it lossy or slow."""

import time
from collections.abc import Callable
from typing import Final

from load_tests.faults.fault import Fault, Play
from load_tests.faults.stand import Stand
from tests.real_parts.tcp_gate import FINE, Weather

STAND: Final = "one machine"
CUT_EVERY_S: Final = 2.0


def away(stand: Stand, seconds: float) -> None:
    """Connections break, new ones are refused."""
    stand.line.shut()
    try:
        time.sleep(seconds)
    finally:
        stand.line.open()


def cut_again_and_again(stand: Stand, seconds: float) -> None:
    """Every connection is reset, and new ones are taken."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        stand.line.cut()
        time.sleep(CUT_EVERY_S)


def bad(weather: Weather) -> Play:
    """A bad line."""

    def play(stand: Stand, seconds: float) -> None:
        stand.line.weather = weather
        try:
            time.sleep(seconds)
        finally:
            stand.line.weather = FINE

    return play


def no_http(chunk: bytes) -> bytes:
    """Bytes that are no HTTP, as many."""
    return b"\xff\x00" * (len(chunk) // 2 + 1)


def no_json(chunk: bytes) -> bytes:
    """HTTP and events as they should be, with JSON that nobody can read, of the same length."""
    return chunk.replace(b'{"id"', b'{{id"')


def other_json(chunk: bytes) -> bytes:
    """JSON of another shape, of the same length: no choices, but text all the same."""
    return chunk.replace(b'"choices"', b'"chances"')


def _fault(name: str, what: str, play: Play, *, bites: bool = True) -> Fault:
    return Fault(f"vllm-{name}", STAND, f"{what} for {{seconds}} s", play, bites=bites)


def _garbled(
    name: str, what: str, garble: Callable[[bytes], bytes], *, bites: bool = True
) -> Fault:
    return _fault(name, what, bad(Weather(garble=garble)), bites=bites)


FAULTS: Final = (
    _fault("away", "vLLM's port refuses and its connections break", away),
    _fault("cut", "all connections to vLLM reset every 2 s", cut_again_and_again),
    _fault(
        "slow",
        "each piece on the line to vLLM comes 0.5 s late",
        bad(Weather(delay_s=0.5)),
        bites=False,
    ),
    _fault(
        "lossy",
        "a fifth of what is sent to and by vLLM is lost",
        bad(Weather(lost_share=0.2)),
        bites=False,
    ),
    _fault("silent", "nothing comes through to or from vLLM", bad(Weather(silent=True))),
    _garbled("no-http", "vLLM answers with bytes that are no HTTP", no_http),
    _garbled("no-json", "vLLM's answers hold no JSON", no_json),
    _garbled("other-json", "vLLM's answers are JSON of another shape", other_json, bites=False),
)
