"""Which journal a process writes, and who ends what a dead one left open."""

import subprocess
import sys
from pathlib import Path

import pytest

from service.events.journal import Slot, take_slot

_TAKE_AND_HOLD = """
import sys
from pathlib import Path
from service.events.journal import take_slot
adopted = []
slot = take_slot(Path(sys.argv[1]), "gateway", lambda orphan: adopted.append(orphan.folder.name))
print(slot.folder.name, *adopted, flush=True)
sys.stdin.read()
"""


class Process:
    """Another process that takes a slot and holds it."""

    def __init__(self, root: Path) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-c", _TAKE_AND_HOLD, str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def said(self) -> tuple[str, list[str]]:
        assert self._child.stdout is not None
        mine, *adopted = self._child.stdout.readline().split()
        return mine, adopted

    def kill(self) -> None:
        self._child.kill()
        self._child.communicate()


def test_processes_that_start_together_get_a_slot_each_and_adopt_nothing(tmp_path: Path) -> None:
    processes = [Process(tmp_path) for _ in range(4)]
    said = [process.said() for process in processes]
    for process in processes:
        process.kill()
    assert sorted(mine for mine, _ in said) == [f"gateway-{n}" for n in range(4)]
    assert [adopted for _, adopted in said] == [[]] * 4


def test_dead_processes_slots_are_taken_again_and_the_rest_adopted_exactly_once(
    tmp_path: Path,
) -> None:
    first = [Process(tmp_path) for _ in range(4)]
    names = {process: process.said()[0] for process in first}
    alive = next(process for process in first if names[process] == "gateway-2")
    for process in first:
        if process is not alive:
            process.kill()
    second = Process(tmp_path)
    assert second.said() == ("gateway-0", ["gateway-1", "gateway-3"])
    third = Process(tmp_path)
    mine, adopted = third.said()
    assert mine == "gateway-1"
    assert adopted == ["gateway-3"], "nobody writes it: it is looked at again, and found ended"
    for process in (alive, second, third):
        process.kill()


def _ignore(_orphan: Slot) -> None:
    return


def test_a_process_that_starts_again_gets_its_slot_again(tmp_path: Path) -> None:
    for _ in range(3):
        slot = take_slot(tmp_path, "gateway", _ignore)
        assert slot.folder == tmp_path / "gateway-0"
        slot.release()


def test_roles_do_not_share_slots(tmp_path: Path) -> None:
    gateway = take_slot(tmp_path, "gateway", _ignore)
    screener = take_slot(tmp_path, "screener", _ignore)
    assert (gateway.folder.name, screener.folder.name) == ("gateway-0", "screener-0")
    gateway.release()
    screener.release()


def test_a_failed_adoption_leaves_every_slot_free(tmp_path: Path) -> None:
    first, second = (take_slot(tmp_path, "gateway", _ignore) for _ in range(2))
    first.release()
    second.release()

    def fail(_orphan: Slot) -> None:
        raise RuntimeError("no room to end what was open")

    with pytest.raises(RuntimeError, match="no room"):
        take_slot(tmp_path, "gateway", fail)
    adopted: list[str] = []
    slot = take_slot(tmp_path, "gateway", lambda orphan: adopted.append(orphan.folder.name))
    assert (slot.folder.name, adopted) == ("gateway-0", ["gateway-1"])
    slot.release()


def test_locks_and_folders_are_for_their_owner_alone(tmp_path: Path) -> None:
    slot = take_slot(tmp_path / "journal", "gateway", _ignore)
    assert slot.folder.parent.stat().st_mode & 0o777 == 0o700
    assert slot.folder.stat().st_mode & 0o777 == 0o700
    assert (slot.folder / "lock").stat().st_mode & 0o777 == 0o600
    slot.release()
