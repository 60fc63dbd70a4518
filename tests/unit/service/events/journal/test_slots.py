"""Which journal a process writes, and who ends what a dead one left open."""

from pathlib import Path

import pytest

from service.events.journal import Slot, take_slot


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
