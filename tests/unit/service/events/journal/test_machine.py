"""The name of a machine's journals: made up once, the same for all who ask."""

import errno
import os
import re
import threading
from pathlib import Path

import pytest

from service.errors import ConfigError
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


@pytest.mark.parametrize("held", [b"", b"gateway-0\n", b"\xff" * 16])
def test_a_file_that_holds_no_name_is_told(tmp_path: Path, held: bytes) -> None:
    (tmp_path / FILE).write_bytes(held)
    with pytest.raises(ConfigError, match=FILE):
        machine_of(tmp_path)


def test_a_disk_that_takes_nothing_is_told_and_no_draft_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        machine_of(tmp_path)
    assert list(tmp_path.iterdir()) == []
