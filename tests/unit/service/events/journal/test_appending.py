"""What who appends to a journal can count on."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from service.errors import JournalBroken, JournalFull
from service.events.journal import Journal, Pending
from service.events.log import Durability, Position
from tests.unit.service.events.journal.journals import (
    KIB,
    LIMITS,
    WITHIN_S,
    append,
    closed,
    eventually,
    everything,
    fill_segments,
    ids,
    opened,
    verdict,
)


class Listener:
    """Notes what is announced and by which thread; holds the announcing thread when told to."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Pending]] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, decided: Sequence[Pending]) -> None:
        self.told += [(threading.current_thread().name, one) for one in decided]
        assert self.go_on.wait(WITHIN_S)

    def ids(self) -> list[str]:
        return [one.record.id for _, one in self.told]


def test_records_are_read_in_the_order_in_which_they_were_appended(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS)
    pendings = append(journal, *[verdict(i) for i in range(300)])
    journal.close()
    assert [one.position for one in pendings] == [
        Position("gateway-0", 1, i) for i in range(1, 301)
    ]
    received = everything(tmp_path)
    assert ids(received) == [f"verdict-{i}" for i in range(300)]
    assert [one.position for one in received] == [one.position for one in pendings]
    assert received[0].record == verdict(0)


def test_every_field_of_a_record_comes_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS)
    sent = [
        structs.replace(opened("a"), key=b"\x00\xff", key_id="k1", content=b"\x00binary\xff"),
        structs.replace(closed("a"), content=None),
        structs.replace(verdict(1), content=b"", key=b""),
    ]
    append(journal, *sent)
    journal.close()
    assert [one.record for one in everything(tmp_path)] == sent


def test_written_records_are_told_by_the_write_thread_and_synced_ones_by_the_sync_thread(
    tmp_path: Path,
) -> None:
    listener = Listener()
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS, announce=listener)
    for i in range(20):
        journal.append(verdict(i), Durability.SYNCED if i % 2 else Durability.WRITTEN)
    journal.close()
    by_thread: dict[str, list[str]] = {}
    for thread, one in listener.told:
        by_thread.setdefault(thread, []).append(one.record.id)
    assert by_thread == {
        "journal-write": [f"verdict-{i}" for i in range(0, 20, 2)],
        "journal-sync": [f"verdict-{i}" for i in range(1, 20, 2)],
    }


def test_a_synced_record_is_told_only_once_the_mark_is_there(tmp_path: Path) -> None:
    marks: list[tuple[int, int]] = []
    journal: Journal

    def note(decided: Sequence[Pending]) -> None:
        for one in decided:
            assert one.position is not None
            marks.append((one.position.offset, journal.synced))

    journal = Journal(tmp_path / "gateway-0", limits=LIMITS, announce=note)
    for i in range(50):
        journal.append_all([verdict(i)])
    journal.close()
    assert len(marks) == 50
    assert all(offset <= mark for offset, mark in marks)


def test_the_written_mark_runs_ahead_of_the_synced_one(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS, sync_interval_s=3600.0)
    append(journal, verdict(1), verdict(2))
    assert (journal.written, journal.synced) == (2, 0)
    journal.append_all([verdict(3)])
    assert (journal.written, journal.synced) == (3, 3)
    journal.close()


def test_what_nobody_waits_for_is_synced_soon_all_the_same(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS)
    append(journal, verdict(1))
    eventually(lambda: journal.synced == 1, "the record is synced")
    journal.close()


def test_append_all_returns_the_positions_once_all_is_synced(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS)
    positions = journal.append_all([verdict(i) for i in range(700)])
    assert [one.offset for one in positions] == list(range(1, 701))
    assert journal.synced == 700
    assert journal.append_all([]) == []
    journal.close()


def test_append_all_does_not_depend_on_who_is_told(tmp_path: Path) -> None:
    def fail(_decided: Sequence[Pending]) -> None:
        raise RuntimeError("the event loop is closed")

    journal = Journal(tmp_path / "gateway-0", limits=LIMITS, announce=fail)
    assert len(journal.append_all([verdict(1)])) == 1
    assert len(journal.append_all([verdict(2)])) == 1
    journal.close()


def test_append_all_that_finds_no_room_appends_nothing(tmp_path: Path) -> None:
    limits = replace(LIMITS, max_queue_bytes=64 * KIB)
    journal = Journal(tmp_path / "gateway-0", limits=limits)
    with pytest.raises(JournalFull, match="queue"):
        journal.append_all([verdict(i, 20 * KIB) for i in range(4)])
    journal.append_all([verdict(9)])
    journal.close()
    assert ids(everything(tmp_path)) == ["verdict-9"]


def test_a_full_queue_refuses_openings_and_still_takes_ends(tmp_path: Path) -> None:
    listener = Listener()
    limits = replace(LIMITS, max_queue_bytes=64 * KIB)
    journal = Journal(tmp_path / "gateway-0", limits=limits, announce=listener)
    listener.go_on.clear()
    journal.append(opened("a", 20 * KIB), Durability.WRITTEN)
    eventually(lambda: bool(listener.told), "the write thread is held")
    journal.append(opened("b", 40 * KIB), Durability.WRITTEN)
    with pytest.raises(JournalFull, match="queue is full"):
        journal.append(opened("c", 10 * KIB), Durability.WRITTEN)
    journal.append(closed("a", 100 * KIB), Durability.WRITTEN, ends=True)
    assert not journal.has_room()
    listener.go_on.set()
    eventually(journal.has_room, "there is room again")
    journal.append(opened("c", 10 * KIB), Durability.WRITTEN)
    journal.close()
    assert listener.ids() == ["a", "b", "a", "c"]


def test_at_the_size_limit_openings_are_refused_and_ends_are_not(tmp_path: Path) -> None:
    limits = replace(LIMITS, max_bytes=512 * KIB)
    journal = Journal(tmp_path / "gateway-0", limits=limits, groups=["screener"])
    append(journal, opened("a"))
    with pytest.raises(JournalFull, match="size limit with unread segments"):
        fill_segments(journal, tmp_path / "gateway-0", 100)
    assert not journal.has_room()
    append(journal, closed("a", 20 * KIB), ends=True)
    journal.close()
    assert everything(tmp_path)[-1].record == closed("a", 20 * KIB)


def test_the_size_limit_still_holds_after_a_restart(tmp_path: Path) -> None:
    limits = replace(LIMITS, max_bytes=512 * KIB)
    journal = Journal(tmp_path / "gateway-0", limits=limits, groups=["screener"])
    with pytest.raises(JournalFull):
        fill_segments(journal, tmp_path / "gateway-0", 100)
    journal.close()
    used = sum(path.stat().st_size for path in (tmp_path / "gateway-0").glob("*.seg"))
    again = Journal(tmp_path / "gateway-0", limits=limits, groups=["screener"])
    assert used <= again.used_bytes < used + 64 * KIB
    again.close()


def test_a_record_larger_than_a_segment_is_kept_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS)
    journal.append_all([verdict(1), verdict(2, 1024 * KIB), verdict(3)])
    journal.close()
    assert everything(tmp_path)[1].record == verdict(2, 1024 * KIB)


def test_closing_keeps_all_that_was_appended_and_may_be_done_twice(tmp_path: Path) -> None:
    listener = Listener()
    journal = Journal(
        tmp_path / "gateway-0", limits=LIMITS, announce=listener, sync_interval_s=3600.0
    )
    for i in range(500):
        journal.append(verdict(i), Durability(1 + i % 2))
    journal.close()
    journal.close()
    assert len(listener.told) == 500
    assert all(one.error is None for _, one in listener.told)
    assert journal.synced == journal.written == 500
    assert len(everything(tmp_path)) == 500


def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS)
    journal.close()
    with pytest.raises(JournalBroken, match="closed"):
        journal.append(verdict(1), Durability.WRITTEN)
    with pytest.raises(JournalBroken, match="closed"):
        journal.append_all([verdict(1)])
    assert not journal.has_room()


def test_whoever_appends_while_the_journal_closes_is_either_kept_or_refused(
    tmp_path: Path,
) -> None:
    listener = Listener()
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS, announce=listener)
    accepted: list[str] = []

    def keep_appending(start: int) -> None:
        for i in range(start, start + 100_000):
            try:
                journal.append(verdict(i), Durability.WRITTEN)
            except JournalBroken:
                return
            accepted.append(f"verdict-{i}")

    threads = [threading.Thread(target=keep_appending, args=[n * 10**6]) for n in range(3)]
    for thread in threads:
        thread.start()
    eventually(lambda: journal.written > 50, "some are written")
    journal.close()
    for thread in threads:
        thread.join(WITHIN_S)
    assert sorted(listener.ids()) == sorted(accepted)
    assert sorted(ids(everything(tmp_path))) == sorted(accepted)


def test_a_record_that_cannot_be_stored_breaks_the_journal_loudly(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS)
    no_text = structs.replace(verdict(1), id="\ud800")
    with pytest.raises(JournalBroken, match="UnicodeEncodeError"):
        journal.append_all([no_text])
    with pytest.raises(JournalBroken):
        journal.append(verdict(2), Durability.WRITTEN)
    journal.close()


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_files_and_folders_are_for_their_owner_alone(tmp_path: Path) -> None:
    root = tmp_path / "journal"
    journal = Journal(root / "gateway-0", limits=LIMITS)
    fill_segments(journal, root / "gateway-0", 2)
    append(journal, verdict(10**6))
    everything(root)
    files = [path for path in root.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"synced", "00000001.seg", "00000002.seg", "ballast"}
    assert {path.name: oct(_mode(path)) for path in files if _mode(path) != 0o600} == {}
    folders = [root / "gateway-0", root / "groups"]
    assert [oct(_mode(path)) for path in folders] == [oct(0o700)] * 2
    journal.close()
