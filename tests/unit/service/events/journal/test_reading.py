"""What a consumer group can count on."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from msgspec import structs

from service.errors import EventLogError
from service.events.journal import Journal, JournalReader, Limits, find_exchange, oldest_unread
from service.events.journal.groups import Group
from service.events.journal.mark import Mark
from service.events.journal.segment import remove_segment, segment_numbers
from service.events.log import Position, Record, Topic
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


def test_a_group_goes_on_after_what_it_acknowledged(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS)
    journal.append_all([verdict(i) for i in range(10)])
    reader = JournalReader(tmp_path, "screener", ALL)
    received = read(reader, 10)
    reader.commit([received[3].position])
    reader.close()
    again = JournalReader(tmp_path, "screener", ALL)
    assert ids(read(again, 6)) == [f"verdict-{i}" for i in range(4, 10)]
    again.close()
    journal.close()


def test_acknowledging_never_goes_backwards(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS)
    journal.append_all([verdict(i) for i in range(10)])
    journal.close()
    reader = JournalReader(tmp_path, "screener", ALL)
    received = read(reader, 10)
    reader.commit([received[7].position, received[2].position])
    reader.commit([received[0].position])
    reader.close()
    assert Group(tmp_path / "groups", "screener").load() == {
        "gateway-0": Position("gateway-0", 1, 8)
    }


def test_groups_do_not_disturb_each_other(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS)
    journal.append_all([verdict(1)])
    for group in ("screener", "enforcer"):
        reader = JournalReader(tmp_path, group, ALL)
        reader.commit([read(reader, 1)[0].position])
        reader.close()
    journal.close()


def test_a_second_reader_of_a_group_is_refused(tmp_path: Path) -> None:
    first = JournalReader(tmp_path, "screener", ALL)
    with pytest.raises(EventLogError, match="another process already reads"):
        JournalReader(tmp_path, "screener", ALL)
    first.close()
    first.close()
    JournalReader(tmp_path, "screener", ALL).close()


def test_records_of_other_topics_are_passed_over_and_acknowledged_with_the_rest(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS)
    journal.append_all([opened("a"), verdict(1), verdict(2)])
    reader = JournalReader(tmp_path, "screener", [Topic.EXCHANGES])
    received = read(reader, 1)
    assert reader.poll(0) == []
    reader.commit([received[0].position])
    reader.close()
    assert Group(tmp_path / "groups", "screener").load()["gateway-0"].offset == 3
    journal.close()


def test_what_was_returned_is_not_acknowledged_by_passing_over_what_follows(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS)
    journal.append_all([opened("a"), opened("b"), verdict(1)])
    reader = JournalReader(tmp_path, "screener", [Topic.EXCHANGES])
    received = read(reader, 2)
    assert reader.poll(0) == []
    reader.commit([received[0].position])
    reader.close()
    assert Group(tmp_path / "groups", "screener").load()["gateway-0"].offset == 1
    journal.close()


def test_journals_that_appear_later_are_read_too(tmp_path: Path) -> None:
    reader = JournalReader(tmp_path, "screener", ALL)
    assert reader.poll(0) == []
    for name in ("gateway-0", "gateway-1"):
        journal = Journal(tmp_path / name, limits=LIMITS)
        append(journal, opened(name))
        journal.close()
        assert ids(read(reader, 1)) == [name]
    reader.close()


def test_a_journal_whose_mark_is_not_whole_yet_is_read_once_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "gateway-0"
    folder.mkdir()
    (folder / "synced").touch()
    reader = JournalReader(tmp_path, "screener", ALL)
    assert reader.poll(0) == []
    journal = Journal(folder, limits=LIMITS)
    journal.append_all([verdict(1)])
    assert ids(read(reader, 1)) == ["verdict-1"]
    reader.close()
    journal.close()


def test_a_reader_whose_segments_are_gone_goes_on_with_the_oldest_there_is(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "gateway-0"
    journal = Journal(folder, limits=LIMITS)
    journal.append_all([verdict(10**6)])
    reader = JournalReader(tmp_path, "late", ALL, batch_records=1)
    reader.commit([read(reader, 1)[0].position])
    reader.close()
    fill_segments(journal, folder, 4)
    journal.close()
    left = [one.position for one in everything(tmp_path) if one.position.part > 2]
    for number in (1, 2):
        remove_segment(folder, number)
    again = JournalReader(tmp_path, "late", ALL)
    assert [one.position for one in read(again, len(left))] == left
    again.close()


def test_a_reader_stays_in_a_full_segment_until_it_has_read_all_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "gateway-0"
    journal = Journal(folder, limits=LIMITS)
    fill_segments(journal, folder, 3)
    journal.close()
    mark = Mark(folder / "synced", writable=True)
    reader = JournalReader(tmp_path, "screener", ALL)
    seen: list[int] = []
    for synced in range(1, journal.written + 1):  # the mark may lag behind the next segment
        mark.set(synced)
        seen += [one.position.offset for one in reader.poll(0)]
        assert seen == list(range(1, synced + 1))
    mark.close()
    reader.close()


def test_segments_that_are_all_gone_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "gateway-0"
    journal = Journal(folder, limits=LIMITS)
    journal.append_all([verdict(1)])
    journal.close()
    remove_segment(folder, 1)
    reader = JournalReader(tmp_path, "screener", ALL)
    with pytest.raises(EventLogError, match="gateway-0 from 0 on are gone"):
        reader.poll(0)
    reader.close()


def test_a_damaged_segment_is_told_without_its_content(tmp_path: Path) -> None:
    folder = tmp_path / "gateway-0"
    journal = Journal(folder, limits=LIMITS)
    journal.append_all([verdict(1)])
    journal.close()
    (folder / "00000001.seg").write_bytes(b"no segment" * 1000)
    reader = JournalReader(tmp_path, "screener", ALL)
    with pytest.raises(EventLogError, match="gateway-0 cannot be read"):
        reader.poll(0)
    with pytest.raises(EventLogError, match="gateway-0 cannot be read"):
        reader.lag()
    reader.close()


def test_what_stands_before_damage_is_returned_before_that_is_told(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS)
    for number in range(3):
        journal.append_all([verdict(number)])
    journal.close()
    damaged = tmp_path / "gateway-0" / "00000001.seg"
    damaged.write_bytes(damaged.read_bytes().replace(b"verdict-1", b"verdict-9"))
    reader = JournalReader(tmp_path, "screener", ALL)
    assert ids(reader.poll(0)) == ["verdict-0"]
    for _ in range(2):
        with pytest.raises(EventLogError, match="gateway-0 cannot be read: its record 2"):
            reader.poll(0)
    with pytest.raises(EventLogError, match="segment 1 of gateway-0: its record 2"):
        list(find_exchange(tmp_path, "a"))
    reader.close()


def test_a_damaged_acknowledgement_is_told_and_keeps_every_segment(tmp_path: Path) -> None:
    folder = tmp_path / "gateway-0"
    (tmp_path / "groups").mkdir()
    (tmp_path / "groups" / "screener.json").write_bytes(b'{"gateway-0": [1')
    with pytest.raises(EventLogError, match=r"screener\.json is damaged"):
        JournalReader(tmp_path, "screener", ALL)
    journal = Journal(folder, limits=LIMITS, groups=["screener"])
    fill_segments(journal, folder, 3)
    journal.close()
    assert segment_numbers(folder)[:3] == [1, 2, 3]
    assert journal.synced == journal.written


def test_lag_counts_what_is_synced_and_unread_per_topic(tmp_path: Path) -> None:
    folder = tmp_path / "gateway-0"
    journal = Journal(folder, limits=LIMITS)
    journal.append_all([opened("a"), verdict(1), closed("a")])
    fill_segments(journal, folder, 3)
    reader = JournalReader(tmp_path, "screener", ALL, batch_records=2)
    verdicts = journal.written - 2
    assert reader.lag().records == {
        Topic.EXCHANGES: 2,
        Topic.VERDICTS: verdicts,
        Topic.DEAD_LETTERS: 0,
        Topic.AUDIT: 0,
    }
    read(reader, 1)
    assert reader.lag().records[Topic.EXCHANGES] == 1
    while reader.poll(0):
        pass
    assert set(reader.lag().records.values()) == {0}
    reader.close()
    journal.close()


def test_lag_is_exact_at_any_place_and_any_mark(tmp_path: Path) -> None:
    folder = tmp_path / "gateway-0"
    journal = Journal(folder, limits=LIMITS)
    groups = [[verdict(n, 9 * KIB), opened(f"ex-{n}"), *[verdict(n)] * (n % 4)] for n in range(30)]
    for group in groups:
        journal.append_all(group)
    journal.close()
    assert len(segment_numbers(folder)) > 2
    records = [record for group in groups for record in group]
    mark = Mark(folder / "synced", writable=True)
    mark.set(0)
    reader = JournalReader(tmp_path, "screener", [Topic.EXCHANGES, Topic.VERDICTS], batch_records=3)
    seen: list[Record] = []
    for synced in range(1, len(records) + 1):
        mark.set(synced)
        if synced % 5 == 0:
            seen += [one.record for one in reader.poll(0)]
        unread = [record.topic for record in records[len(seen) : synced]]
        assert reader.lag().records == {
            topic: unread.count(topic) for topic in (Topic.EXCHANGES, Topic.VERDICTS)
        }
    assert seen == records[: len(seen)]
    reader.close()
    mark.close()


def test_what_was_read_or_counted_once_is_not_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "gateway-0"
    journal = Journal(folder, limits=LIMITS)
    journal.append_all([verdict(n) for n in range(10)])
    reader, counter = JournalReader(tmp_path, "reads", ALL), JournalReader(tmp_path, "counts", ALL)
    assert len(read(reader, 10)) == counter.lag().records[Topic.VERDICTS] == 10
    with (folder / "00000001.seg").open("r+b") as segment:
        begin = segment.read().index(b"verdict-0")
        segment.seek(begin)
        segment.write(b"x" * 500)
    journal.append_all([verdict(n) for n in range(10, 13)])
    assert ids(reader.poll(0)) == ["verdict-10", "verdict-11", "verdict-12"]
    assert counter.lag().records[Topic.VERDICTS] == 13
    with pytest.raises(EventLogError, match="record 1 is not what was written"):
        counter.poll(0)
    reader.close()
    counter.close()
    journal.close()


def test_an_exchange_is_found_with_its_verdicts_beside_records_that_are_no_json(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS)
    of_a = structs.replace(verdict(1), body=b'{"exchange_id":"a"}')
    no_json = structs.replace(verdict(2), body=b"no JSON")
    journal.append_all([opened("a"), opened("b"), no_json, of_a, verdict(3), closed("a")])
    journal.close()
    assert [one.record for one in find_exchange(tmp_path, "a")] == [opened("a"), of_a, closed("a")]


def test_poll_waits_for_a_record_and_no_longer_than_it_was_told(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS)
    reader = JournalReader(tmp_path, "screener", ALL)
    assert reader.poll(0.05) == []
    thread = threading.Timer(0.1, lambda: journal.append_all([verdict(1)]))
    thread.start()
    assert ids(reader.poll(30.0)) == ["verdict-1"]
    thread.join()
    reader.close()
    journal.close()


def test_a_reader_needs_a_topic(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one topic"):
        JournalReader(tmp_path, "screener", [])


_COMMIT_FOR_EVER = """
import sys
from pathlib import Path
from service.events.journal.groups import Group
from service.events.log import Position
group = Group(Path(sys.argv[1]), "screener")
n = group.load()["gateway-0"].offset if group.load() else 0
while True:
    n += 1
    group.save({"gateway-0": Position("gateway-0", 1, n)})
    print(n, flush=True)
"""


def test_what_a_killed_reader_had_acknowledged_stays_acknowledged(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _COMMIT_FOR_EVER, str(tmp_path)]
    for kill_after in (1, 3, 10):
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=dict(os.environ)) as child:
            assert child.stdout is not None
            last = 0
            for _ in range(kill_after):
                last = int(child.stdout.readline())
            child.kill()
        offset = Group(tmp_path, "screener").load()["gateway-0"].offset
        assert offset >= last
    eventually(lambda: (tmp_path / "screener.json").stat().st_mode & 0o777 == 0o600, "0600")


def test_a_poll_brings_no_more_bytes_than_a_reader_can_hold(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gateway-0", limits=Limits(reserve_bytes=2**20))
    content = b'"' + b"x" * (11 * 2**20) + b'"'
    for i in range(5):
        journal.append_all([structs.replace(verdict(i), content=content)])
    journal.close()
    reader = JournalReader(tmp_path, "screener", ALL)
    batches = [ids(reader.poll(5)) for _ in range(2)]
    assert batches == [[f"verdict-{i}" for i in range(3)], [f"verdict-{i}" for i in (3, 4)]]
    reader.close()


def test_the_oldest_unread_record_is_the_first_after_what_was_acknowledged(tmp_path: Path) -> None:
    folder = tmp_path / "gateway-0"
    journal = Journal(folder, limits=LIMITS)
    assert oldest_unread(folder, None) is None
    positions = journal.append_all([verdict(i) for i in range(3)])
    found = [oldest_unread(folder, position) for position in (None, *positions)]
    assert [one and one.record.id for one in found] == ["verdict-0", "verdict-1", "verdict-2", None]
    journal.close()
