"""Segments: when they follow one another, when they go, and what a crash in between leaves."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from service.errors import JournalBroken
from service.events.journal import Journal, JournalReader, Limits
from service.events.journal.recovery import open_segment
from service.events.journal.segment import Disk, begin_segment, segment_numbers
from service.events.log import Durability, Position, Topic
from tests.unit.service.events.journal.journals import (
    KIB,
    LIMITS,
    append,
    closed,
    eventually,
    everything,
    fill_segments,
    ids,
    opened,
    read,
    verdict,
)

ALL = tuple(Topic)


def test_a_segment_is_followed_by_another_once_it_is_full(tmp_path: Path) -> None:
    folder = tmp_path / "gateway-0"
    journal = Journal(folder, limits=LIMITS)
    fill_segments(journal, folder, 4)
    journal.close()
    received = everything(tmp_path)
    assert [one.position.offset for one in received] == list(range(1, journal.written + 1))
    assert {one.position.part for one in received} >= {1, 2, 3}
    sizes = [path.stat().st_size for path in sorted(folder.glob("*.seg"))]
    assert max(sizes) < 2 * LIMITS.segment_bytes


def test_a_reader_follows_over_the_border_while_the_journal_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "gateway-0"
    journal = Journal(folder, limits=LIMITS)
    reader = JournalReader(tmp_path, "screener", ALL, batch_records=3)
    seen: list[str] = []
    for i in range(60):
        journal.append_all([verdict(i, 10 * KIB)])
        seen += ids(read(reader, 1))
    assert segment_numbers(folder)[-1] > 3
    assert seen == [f"verdict-{i}" for i in range(60)]
    reader.close()
    journal.close()


def test_a_journal_holds_no_file_open_but_the_segment_that_it_writes(tmp_path: Path) -> None:
    folder = tmp_path / "gateway-0"
    journal = Journal(folder, limits=LIMITS)
    fill_segments(journal, folder, 4)
    last = f"{segment_numbers(folder)[-1]:08d}.seg"
    eventually(lambda: _open_files(folder) == {"synced", last}, "the full ones are let go")
    journal.close()
    assert _open_files(folder) == set()


def _open_files(folder: Path) -> set[str]:
    links: list[Path] = []
    for fd in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            links.append(fd.readlink())
    return {path.name for path in links if path.parent == folder}


def _kept(tmp_path: Path, limits: Limits = LIMITS) -> tuple[Journal, Path]:
    folder = tmp_path / "gateway-0"
    return Journal(folder, limits=limits, groups=["screener", "shipper"]), folder


def _read_to_the_end(root: Path, group: str, count: int) -> None:
    reader = JournalReader(root, group, ALL)
    reader.commit([read(reader, count)[-1].position])
    reader.close()


def test_a_segment_goes_once_every_group_has_acknowledged_it_and_not_before(
    tmp_path: Path,
) -> None:
    journal, folder = _kept(tmp_path)
    fill_segments(journal, folder, 4)
    last = segment_numbers(folder)[-1]
    _read_to_the_end(tmp_path, "shipper", journal.written)
    journal.close()  # upkeep is done once more
    assert segment_numbers(folder)[0] == 1
    journal, folder = _kept(tmp_path)
    _read_to_the_end(tmp_path, "screener", journal.written)
    eventually(lambda: segment_numbers(folder) == [last], "all but the last are gone")
    assert [path.name for path in folder.glob("*.seg")] == [f"{last:08d}.seg"]
    assert journal.used_bytes < 2 * LIMITS.segment_bytes
    journal.close()


def test_a_segment_stays_while_an_exchange_that_was_opened_in_it_is_open(tmp_path: Path) -> None:
    journal, folder = _kept(tmp_path)
    fill_segments(journal, folder, 2)
    append(journal, opened("long"))
    fill_segments(journal, folder, 5)
    for group in ("screener", "shipper"):
        _read_to_the_end(tmp_path, group, journal.written)
    eventually(lambda: segment_numbers(folder)[0] == 2, "the segments before it are gone")
    append(journal, closed("long"), ends=True)
    eventually(lambda: segment_numbers(folder)[0] >= 5, "its segment is gone too")
    journal.close()


def test_acknowledged_segments_are_kept_for_their_time(tmp_path: Path) -> None:
    journal, folder = _kept(tmp_path, replace(LIMITS, keep_s=3600.0))
    fill_segments(journal, folder, 4)
    for group in ("screener", "shipper"):
        _read_to_the_end(tmp_path, group, journal.written)
    journal.close()
    assert segment_numbers(folder)[:4] == [1, 2, 3, 4]
    for number in (1, 2):
        os.utime(folder / f"{number:08d}.seg", (0, 0))
    journal, folder = _kept(tmp_path, replace(LIMITS, keep_s=3600.0))
    journal.close()
    assert segment_numbers(folder)[:2] == [3, 4]


def test_a_crowded_journal_does_not_wait_for_that_time(tmp_path: Path) -> None:
    limits = replace(LIMITS, keep_s=1e9, max_bytes=512 * KIB)
    journal, folder = _kept(tmp_path, limits)
    for count in range(2, 6):
        fill_segments(journal, folder, count)
        eventually(journal.has_room, "what is written is counted once")
    for group in ("screener", "shipper"):
        _read_to_the_end(tmp_path, group, journal.written)
    eventually(lambda: segment_numbers(folder)[0] > 1, "the oldest is gone")
    assert journal.has_room()
    journal.close()


def test_offsets_go_on_when_all_that_was_written_is_gone(tmp_path: Path) -> None:
    journal, folder = _kept(tmp_path)
    journal.append_all([verdict(1, 2 * LIMITS.segment_bytes)])
    for group in ("screener", "shipper"):
        _read_to_the_end(tmp_path, group, 1)
    eventually(lambda: segment_numbers(folder) == [2], "only an empty segment is left")
    journal.close()
    journal, folder = _kept(tmp_path)
    assert journal.written == journal.synced == 1
    assert journal.append_all([verdict(2)]) == [Position("gateway-0", 2, 2)]
    journal.close()


def test_the_age_of_what_no_group_has_read_is_known(tmp_path: Path) -> None:
    journal, folder = _kept(tmp_path)
    assert journal.oldest_unacknowledged_s(1e12) == 0.0
    fill_segments(journal, folder, 2)
    eventually(lambda: journal.oldest_unacknowledged_s(1e12) > 0.0, "the first is unread")
    for group in ("screener", "shipper"):
        _read_to_the_end(tmp_path, group, journal.written)
    assert journal.oldest_unacknowledged_s(1e12) == 0.0
    journal.close()


def test_open_exchanges_are_carried_through_segments_and_restarts(tmp_path: Path) -> None:
    folder = tmp_path / "gateway-0"
    journal = Journal(folder, limits=LIMITS)
    append(journal, opened("stays"), opened("ends later"), opened("ended"), closed("ended"))
    for segments in (3, 4, 5):
        fill_segments(journal, folder, segments)
        journal.close()
        journal = Journal(folder, limits=LIMITS)
        assert [one.id for one in journal.open_exchanges()] == ["stays", "ends later"]
    append(journal, closed("ends later"), ends=True)
    fill_segments(journal, folder, 7)
    (left,) = journal.open_exchanges()
    assert (left.id, left.position, left.body) == (
        "stays",
        Position("gateway-0", 1, 1),
        b'{"of":"opened"}',
    )
    journal.close()


# What a process that was killed leaves behind


def _copy(folder: Path, to: Path) -> Path:
    """Return the folder as a killed process would leave it at this moment."""
    shutil.copytree(folder, to)
    return to


def _crash_before_the_next_segment_has_its_name(folder: Path) -> None:
    (folder / "next.tmp").write_bytes(b"half a file")


def _crash_once_it_has(folder: Path) -> None:
    journal, left = open_segment(folder, 3, Disk())
    begin_segment(folder, 2, journal.last_offset, left, Disk()).close()
    journal.close()


def _crash_within_the_first_record_in_it(folder: Path) -> None:
    _crash_after_the_first_record_in_it(folder)
    os.truncate(folder / "00000002.seg", (folder / "00000002.seg").stat().st_size - 1)


def _crash_after_the_first_record_in_it(folder: Path) -> None:
    _crash_once_it_has(folder)
    segment, _ = open_segment(folder, 3, Disk())
    segment.write([verdict(4)])
    segment.close()


@pytest.mark.parametrize(
    ("crash", "last"),
    [
        (lambda _folder: None, 3),
        (_crash_before_the_next_segment_has_its_name, 3),
        (_crash_once_it_has, 3),
        (_crash_within_the_first_record_in_it, 3),
        (_crash_after_the_first_record_in_it, 4),
    ],
)
def test_a_journal_opens_after_a_crash_at_any_step_of_a_new_segment(
    tmp_path: Path, crash: Callable[[Path], None], last: int
) -> None:
    journal = Journal(tmp_path / "alive" / "gateway-0", limits=LIMITS)
    append(journal, opened("a"), opened("b"), closed("b"))
    folder = _copy(tmp_path / "alive" / "gateway-0", tmp_path / "dead" / "gateway-0")
    journal.close()
    crash(folder)
    again = Journal(folder, limits=LIMITS)
    assert [one.id for one in again.open_exchanges()] == ["a"]
    assert again.written == again.synced == last
    assert again.append_all([closed("a")])[0].offset == last + 1
    fill_segments(again, folder, 4)
    again.close()
    assert not (folder / "next.tmp").exists()
    received = everything(tmp_path / "dead")
    assert [one.position.offset for one in received] == list(range(1, len(received) + 1))


def test_a_damaged_segment_is_told_and_never_written_over(tmp_path: Path) -> None:
    folder = tmp_path / "gateway-0"
    journal = Journal(folder, limits=LIMITS)
    append(journal, verdict(1))
    journal.close()
    (folder / "00000001.seg").write_bytes(b"no segment" * 1000)
    with pytest.raises(JournalBroken, match="cannot be opened"):
        Journal(folder, limits=LIMITS)
    assert (folder / "00000001.seg").read_bytes() == b"no segment" * 1000


def test_a_slow_reader_in_a_segment_does_not_hold_up_the_writer(tmp_path: Path) -> None:
    folder = tmp_path / "gateway-0"
    journal = Journal(folder, limits=LIMITS)
    journal.append_all([opened("a")])
    reader = JournalReader(tmp_path, "screener", ALL, batch_records=1)
    read(reader, 1)
    fill_segments(journal, folder, 3)
    journal.append(closed("a"), Durability.SYNCED, ends=True)
    journal.close()
    assert len(read(reader, journal.written - 1)) == journal.written - 1
    reader.close()
    assert len(everything(tmp_path)) == journal.written


def test_open_exchanges_larger_than_a_segment_do_not_begin_one_with_every_record(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "gateway-0"
    journal = Journal(folder, limits=LIMITS)
    body = b'{"of":"opened","padding":"' + b"p" * (LIMITS.segment_bytes // 4) + b'"}'
    append(journal, *(structs.replace(opened(f"ex-{n}"), body=body) for n in range(6)))
    eventually(lambda: len(segment_numbers(folder)) > 1, "they have filled a segment")
    before = len(segment_numbers(folder))
    for number in range(50):
        append(journal, verdict(number))
    assert len(segment_numbers(folder)) <= before + 1
    journal.close()
