"""Records of one topic, found among many of others."""

from pathlib import Path

import pytest
from msgspec import structs

from service.errors import SegmentDamaged
from service.events.journal import Journal, journal_folders, read_synced
from service.events.journal.frames import pack_group
from service.events.journal.segment import remove_segment, segment_path
from service.events.log import Record, Topic
from tests.unit.service.events.journal.journals import KIB, LIMITS, fill_segments, ids, verdict

BEFORE = 0x1234ABCD


def anchor(number: int) -> Record:
    return structs.replace(verdict(number), topic=Topic.AUDIT, kind="anchor", id=f"a-{number}")


def test_records_of_a_topic_are_found_in_all_segments_that_are_there(tmp_path: Path) -> None:
    folder = tmp_path / "enforcer-0"
    journal = Journal(folder, limits=LIMITS)
    journal.append_all([verdict(0), anchor(1), verdict(1), anchor(2)])
    fill_segments(journal, folder, 3)
    journal.append_all([anchor(n) for n in range(3, 400)])
    assert journal_folders(tmp_path) == [folder]
    assert ids(list(read_synced(folder, Topic.AUDIT))) == [f"a-{n}" for n in range(1, 400)]
    remove_segment(folder, 1)
    assert ids(list(read_synced(folder, Topic.AUDIT))) == [f"a-{n}" for n in range(3, 400)]
    journal.close()


def test_a_segment_that_was_changed_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "enforcer-0"
    journal = Journal(folder, limits=LIMITS)
    journal.append_all([anchor(1)])
    journal.append_all([anchor(2)])
    journal.close()
    path = segment_path(folder, 1)
    path.write_bytes(path.read_bytes().replace(b"a-2", b"a-3"))
    found = read_synced(folder, Topic.AUDIT)
    assert next(found).record.id == "a-1"
    with pytest.raises(SegmentDamaged, match="segment 1 of enforcer-0"):
        next(found)


def test_a_folder_without_a_journal_holds_nothing(tmp_path: Path) -> None:
    assert list(read_synced(tmp_path, Topic.AUDIT)) == []


def test_frames_without_audit_records_are_laid_out_as_they_ever_were() -> None:
    """Journals of the version before are read on: its heads held a u32 of dead letters."""
    letters = [structs.replace(verdict(n), topic=Topic.DEAD_LETTERS) for n in range(3)]
    head = pack_group([*letters, verdict(9)], 1, BEFORE)[0][:25]
    assert head[13:] == bytes([0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0])


def test_the_most_records_that_a_frame_may_hold_can_be_counted() -> None:
    least = Record(Topic.AUDIT, b"", "", "", b"")
    packed, _ = pack_group([least] * 60_000, 1, BEFORE)
    assert len(packed) > 60_000 * 50 > KIB * KIB
