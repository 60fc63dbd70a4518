"""Processes that start together, or after others died, and the slots that they take."""

import subprocess
import sys
from pathlib import Path

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
