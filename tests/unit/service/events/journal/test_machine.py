"""The name of a machine's journals: made up once, the same for all who ask."""

import re
import threading
from pathlib import Path

from service.events.journal.machine import FILE, machine_of


def test_a_machine_keeps_its_name_and_another_has_another(tmp_path: Path) -> None:
    one, other = machine_of(tmp_path / "one"), machine_of(tmp_path / "other")
    assert re.fullmatch("[0-9a-f]{16}", one)
    assert one == machine_of(tmp_path / "one") != other
    assert [it.name for it in (tmp_path / "one").iterdir()] == [FILE]


def test_who_ask_at_once_are_told_the_same(tmp_path: Path) -> None:
    told: list[str] = []
    threads = [threading.Thread(target=lambda: told.append(machine_of(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 8
    assert set(told) == {machine_of(tmp_path)}
