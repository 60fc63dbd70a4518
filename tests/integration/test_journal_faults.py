"""The journal under kill -9 and on a full disk, each in a process of its own."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from service.events.journal import Journal, JournalReader, Limits
from service.events.log import Topic

CHILD: Final = Path(__file__).with_name("journal_children.py")
ROOT: Final = Path(__file__).parents[2]
ROUNDS: Final = 12
WITHIN_S: Final = 60.0
KIB: Final = 1024


def _start(prefix: list[str], what: str, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*prefix, sys.executable, str(CHILD), what, str(folder)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


# kill -9


def _announced_before_the_kill(folder: Path, after_bytes: int) -> dict[int, tuple[str, str]]:
    """Let a process write, kill it once it has said so much; return what it said."""
    with _start([], "write_until_killed", folder) as child:
        assert child.stdout is not None
        said = b""
        while len(said) < after_bytes:
            piece = os.read(child.stdout.fileno(), 4096)
            assert piece, "the writing process ended by itself"
            said += piece
        child.kill()
        said += child.stdout.read()
    lines = [line.split() for line in said.decode().splitlines(keepends=True) if "\n" in line]
    return {int(offset): (kind, name) for kind, name, offset in lines}


def _read_everything(root: Path) -> dict[int, tuple[str, str]]:
    reader = JournalReader(root, "look", tuple(Topic))
    found: dict[int, tuple[str, str]] = {}
    while received := reader.poll(0):
        found |= {one.position.offset: (one.record.kind, one.record.id) for one in received}
    reader.close()
    return found


def test_whatever_was_announced_before_a_kill_is_there_afterwards(tmp_path: Path) -> None:
    chance = random.Random(7)  # noqa: S311
    folder = tmp_path / "gateway-0"
    announced: dict[int, tuple[str, str]] = {}
    for _ in range(ROUNDS):
        said = _announced_before_the_kill(folder, chance.randrange(1, 30_000))
        assert not announced.keys() & said.keys(), "a position was given to another record"
        announced |= said
        journal = Journal(folder, limits=Limits(reserve_bytes=64 * KIB))
        found = _read_everything(tmp_path)
        assert announced.items() <= found.items()
        assert list(found) == list(range(1, journal.written + 1)), "the offsets have a hole"
        opened = {name for kind, name in found.values() if kind == "opened"}
        closed = {name for kind, name in found.values() if kind == "closed"}
        assert {one.id for one in journal.open_exchanges()} == opened - closed
        journal.close()
    assert len(list(folder.glob("*.seg"))) > 1, "no segment followed another in all these rounds"


# A full disk


def _on_a_small_disk(what: str, folder: Path) -> dict[str, Any]:
    prefix = ["unshare", "--mount"]
    if os.geteuid() != 0:
        prefix += ["--user", "--map-root-user"]
    allowed = subprocess.run([*prefix, "true"], check=False, capture_output=True, timeout=WITHIN_S)
    if allowed.returncode != 0:
        pytest.fail(
            "these tests mount a small disk: they need util-linux's unshare and mount, and root"
            " or user namespaces (sysctl kernel.unprivileged_userns_clone=1)"
        )
    with _start(prefix, what, folder) as child:
        said, _ = child.communicate(timeout=120)
    assert child.returncode == 0
    report: dict[str, Any] = json.loads(said)
    return report


@pytest.mark.parametrize("what", ["disk_filled_by_others", "disk_filled_by_the_journal"])
def test_on_a_full_disk_exchanges_end_and_none_is_opened_until_there_is_room(
    tmp_path: Path, what: str
) -> None:
    report = _on_a_small_disk(what, tmp_path / "disk")
    last = report.pop("written")
    assert report.pop("last") == last
    assert (report.pop("filled") > 0) is (what == "disk_filled_by_the_journal")
    assert report == {
        "refusal": "JournalFull",
        "has_room": False,
        "next_opening": "refused: JournalFull",
        "ends": ["written"],
        "room_again": True,
        "after": "written",
        "left_open": ["after"],
        "contiguous": True,
    }


def test_a_journal_opens_on_a_full_disk_to_end_what_was_left_open(tmp_path: Path) -> None:
    report = _on_a_small_disk("start_on_a_full_disk", tmp_path / "disk")
    assert report == {
        "found_open": 10,
        "next_opening": "failed: JournalFull",
        "ends": ["written"],
        "room_again": True,
        "after": "written",
        "left_open": ["after"],
        "written": 21,
        "contiguous": True,
        "last": 21,
    }
