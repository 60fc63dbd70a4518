"""The machine itself: its disk and its clock."""

import time
from contextlib import suppress
from io import RawIOBase
from pathlib import Path
from typing import Final

from load_tests.faults.fault import Fault, Play
from load_tests.faults.stand import Stand
from service.events.log import Topic
from service.events.schema import made_at

MIB: Final = 1 << 20
HOUR_S: Final = 3600
_STEP_S: Final = 0.1


def filled(*, greedy: bool) -> Play:
    """Not a block is free on the disk of journal and store; `greedy`: nor is one that is freed.

    The journal keeps space in reserve and frees it when the disk is full: greed takes that too.
    """

    def play(stand: Stand, seconds: float) -> None:
        filler: Path = stand.parts["small_disk"] / "filler"
        until = time.monotonic() + seconds
        try:
            with filler.open("wb", buffering=0) as file:
                _fill(file)
                while time.monotonic() < until:
                    time.sleep(_STEP_S)
                    if greedy:
                        _fill(file)
        finally:
            filler.unlink()

    return play


def _fill(file: RawIOBase) -> None:
    """Write until not a block is free."""
    for block in (MIB, 4096):
        with suppress(OSError):  # no space left on device
            while file.write(bytes(block)) == block:
                pass


def hanging(stand: Stand, seconds: float) -> None:
    """Who writes to the gateway's journal waits."""
    with stand.parts["disk"].stalled():
        time.sleep(seconds)


def jumped(shift_s: int) -> Play:
    """The time of day of all processes is wrong by so much, and then right again."""

    def play(stand: Stand, seconds: float) -> None:
        _set_clock(stand.parts["clock"], shift_s)
        try:
            time.sleep(seconds)
            records = stand.watchgate.topic(Topic.EXCHANGES)
            ahead_s = (made_at(one.record) - time.time() for one in records)
            seen = any(it * shift_s > 0 and abs(it) > HOUR_S / 2 for it in ahead_s)
            assert seen, "no event has the shifted time"
        finally:
            _set_clock(stand.parts["clock"], 0)

    return play


def _set_clock(file: Path, shift_s: int) -> None:
    draft = file.with_suffix(".tmp")
    draft.write_text(str(shift_s))
    draft.rename(file)


FAULTS: Final = (
    Fault(
        "disk-full",
        "small disk",
        "something fills the disk to the last block for {seconds} s",
        filled(greedy=False),
        bites=True,
    ),
    Fault(
        "disk-taken",
        "small disk",
        "the same, and takes what the journal frees too",
        filled(greedy=True),
        bites=True,
    ),
    Fault(
        "disk-hangs", "one machine", "writes to the gateway's journal hang for {seconds} s", hanging
    ),
    Fault(
        "clock-ahead",
        "one machine",
        "the clock jumps an hour ahead and, after {seconds} s, back",
        jumped(HOUR_S),
    ),
    Fault(
        "clock-behind",
        "one machine",
        "the clock jumps an hour back and, after {seconds} s, ahead",
        jumped(-HOUR_S),
    ),
)
