"""Small records, small limits, and ways to wait, for the tests of the journal."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from msgspec import structs

from service.events.journal import Journal, JournalReader, Limits, Pending
from service.events.journal.segment import segment_numbers
from service.events.log import Durability, Received, Record, Topic

KIB: Final = 1024
LIMITS: Final = Limits(
    segment_bytes=96 * KIB, max_bytes=64 * KIB * KIB, reserve_bytes=64 * KIB, keep_s=0.0
)
WITHIN_S: Final = 30.0


def verdict(number: int, size_bytes: int = 100) -> Record:
    body = b'{"padding":"' + b"v" * size_bytes + b'"}'
    return Record(Topic.VERDICTS, b"account-1", "verdict", f"verdict-{number}", body)


def opened(name: str, size_bytes: int = 100) -> Record:
    content = b'"' + b"q" * size_bytes + b'"'
    return Record(Topic.EXCHANGES, b"account-1", "opened", name, b'{"of":"opened"}', content)


def closed(name: str, size_bytes: int = 100) -> Record:
    return structs.replace(opened(name, size_bytes), kind="closed", body=b'{"of":"closed"}')


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Poll until a condition holds; fail with `what` was waited for."""
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {WITHIN_S:g} s: {what}"
        threading.Event().wait(0.005)


def append(journal: Journal, *records: Record, ends: bool = False) -> list[Pending]:
    """Append at level written and return once all are decided."""
    done = threading.Event()
    pendings = [journal.append(one, Durability.WRITTEN, ends=ends) for one in records[:-1]]
    pendings.append(journal.append(records[-1], Durability.WRITTEN, ends=ends, waiter=done))
    assert done.wait(WITHIN_S), "the last record was never announced"
    return pendings


def read(reader: JournalReader, count: int) -> list[Received]:
    """Poll until at least so many records came."""
    received: list[Received] = []
    deadline = time.monotonic() + WITHIN_S
    while len(received) < count:
        assert time.monotonic() < deadline, f"{len(received)} of {count} records came"
        received += reader.poll(0.1)
    return received


def ids(received: Sequence[Received]) -> list[str]:
    return [one.record.id for one in received]


def everything(root: Path) -> list[Received]:
    """Read all that is synced now as a group that never read before, without committing."""
    reader = JournalReader(root, f"look-{time.monotonic_ns()}", tuple(Topic))
    try:
        received: list[Received] = []
        while batch := reader.poll(0):
            received += batch
        return received
    finally:
        reader.close()


def fill_segments(journal: Journal, folder: Path, count: int) -> None:
    """Append verdicts until so many segments have begun."""
    number = 0
    while segment_numbers(folder)[-1] < count:
        journal.append_all([verdict(number, 20 * KIB)])
        number += 1
        assert number < 1000, "the segments do not roll"
