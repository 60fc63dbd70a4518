"""What the fault tests run in a process of its own: python journal_children.py WHAT FOLDER."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from service.errors import JournalBroken, JournalFull
from service.events.journal import Journal, JournalReader, Limits, Pending
from service.events.log import Durability, Record, Topic

KIB: Final = 1024
SMALL: Final = Limits(segment_bytes=512 * KIB, reserve_bytes=2048 * KIB, keep_s=0.0)
OPEN: Final = [f"open-{n}" for n in range(10)]
WITHIN_S: Final = 30.0


def record(kind: str, name: str, size_bytes: int) -> Record:
    content = b'"' + b"x" * size_bytes + b'"'
    return Record(Topic.EXCHANGES, b"account", kind, name, b'{"of":"%s"}' % kind.encode(), content)


def write_until_killed(folder: Path) -> None:
    """Open and close exchanges for ever; say `kind id offset` of each once it is written."""

    def say(decided: Sequence[Pending]) -> None:
        lines = [
            f"{one.record.kind} {one.record.id} {one.position.offset}\n"
            for one in decided
            if one.position is not None and one.error is None
        ]
        os.write(1, "".join(lines).encode())

    limits = Limits(segment_bytes=256 * KIB, reserve_bytes=64 * KIB)
    journal = Journal(folder, limits=limits, announce=say, sync_interval_s=0.005)
    first = journal.written
    number = first
    while True:
        journal.append(record("opened", f"ex-{number}", number % 5000), Durability.WRITTEN)
        if number - first >= 3:
            end = record("closed", f"ex-{number - 3}", 100)
            journal.append(end, Durability(1 + number % 2), ends=True)
        number += 1
        if number % 20 == 0:
            time.sleep(0.002)  # keeps the queue short, so that kills fall into commits


# On a small disk


class SmallDisk:
    """A tmpfs of 16 MiB, seen by this process alone, and what there was to report."""

    def __init__(self, mount_at: Path) -> None:
        mount_at.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(mount_at)]
        subprocess.run(command, check=True)
        self.root = mount_at / "journal"
        self._hog = mount_at / "hog"
        self.report: dict[str, object] = {}

    def journal(self) -> Journal:
        return Journal(self.root / "gateway-0", limits=SMALL, groups=["workers"])

    def fill(self) -> None:
        with self._hog.open("ab", buffering=0) as hog:
            for size in (1 << 16, 1 << 12):
                try:
                    while hog.write(b"x" * size):
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        self._hog.unlink()


def _append(journal: Journal, one: Record, *, ends: bool = False) -> str:
    done = threading.Event()
    try:
        pending = journal.append(one, Durability.WRITTEN, ends=ends, waiter=done)
    except (JournalFull, JournalBroken) as error:
        return f"refused: {type(error).__name__}"
    if not done.wait(WITHIN_S):
        return "never decided"
    return "written" if pending.error is None else f"failed: {type(pending.error).__name__}"


def _eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + WITHIN_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def _open_until_refused(journal: Journal) -> list[str]:
    answers: list[str] = []
    while not answers or answers[-1] == "written":
        answers.append(_append(journal, record("verdict", f"more-{len(answers)}", 8 * KIB)))
    return answers


def _common(disk: SmallDisk, journal: Journal, free: Callable[[], None]) -> None:
    report = disk.report
    answers = _open_until_refused(journal)
    report["filled"] = answers.count("written")
    report["refusal"] = answers[-1].split()[-1]
    report["has_room"] = journal.has_room()
    report["next_opening"] = _append(journal, record("opened", "late", 10))
    ends = {_append(journal, record("closed", name, KIB), ends=True) for name in OPEN}
    report["ends"] = sorted(ends)
    free()
    report["room_again"] = _eventually(journal.has_room)
    report["after"] = _append(journal, record("opened", "after", 8 * KIB))
    _finish(disk, journal)


def _finish(disk: SmallDisk, journal: Journal) -> None:
    journal.close()
    again = disk.journal()
    disk.report["left_open"] = [one.id for one in again.open_exchanges()]
    disk.report["written"] = again.written
    again.close()
    reader = JournalReader(disk.root, "look", tuple(Topic))
    offsets: list[int] = []
    while received := reader.poll(0):
        offsets += [one.position.offset for one in received]
    disk.report["contiguous"] = offsets == list(range(offsets[0], offsets[-1] + 1))
    disk.report["last"] = offsets[-1]
    reader.close()


def disk_filled_by_others(disk: SmallDisk) -> None:
    journal = disk.journal()
    for name in OPEN:
        _append(journal, record("opened", name, 10))
    disk.fill()
    _common(disk, journal, disk.free)


def disk_filled_by_the_journal(disk: SmallDisk) -> None:
    journal = disk.journal()
    for name in OPEN:
        _append(journal, record("opened", name, 10))

    def acknowledge() -> None:
        reader = JournalReader(disk.root, "workers", tuple(Topic))
        while received := reader.poll(1.0):
            reader.commit([received[-1].position])
        reader.close()

    _common(disk, journal, acknowledge)


def start_on_a_full_disk(disk: SmallDisk) -> None:
    journal = disk.journal()
    for name in OPEN:
        _append(journal, record("opened", name, 10))
    journal.close()
    disk.fill()
    journal = disk.journal()
    disk.report["found_open"] = len(journal.open_exchanges())
    disk.report["next_opening"] = _append(journal, record("opened", "late", 200 * KIB))
    ends = {_append(journal, record("closed", name, KIB), ends=True) for name in OPEN}
    disk.report["ends"] = sorted(ends)
    disk.free()
    disk.report["room_again"] = _eventually(journal.has_room)
    disk.report["after"] = _append(journal, record("opened", "after", 10))
    _finish(disk, journal)


def main() -> None:
    what, folder = sys.argv[1], Path(sys.argv[2])
    if what == "write_until_killed":
        write_until_killed(folder)
        return
    disk = SmallDisk(folder)
    scenarios = (disk_filled_by_others, disk_filled_by_the_journal, start_on_a_full_disk)
    next(one for one in scenarios if one.__name__ == what)(disk)
    sys.stdout.write(json.dumps(disk.report))


if __name__ == "__main__":
    main()
