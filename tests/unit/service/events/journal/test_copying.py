"""A copy of journals that are written to holds all that was synced, and comes back as it was."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from service.errors import EventLogError
from service.events.journal import Journal, JournalReader
from service.events.journal.copying import copy_journals, restore_journals
from service.events.log import Position, Record, Topic
from tests.unit.service.events.journal.journals import (
    LIMITS,
    append,
    closed,
    everything,
    ids,
    opened,
    verdict,
)

TOPICS = tuple(Topic)
NOW = 1_800_000_000.5


def wrote(root: Path, log: str, records: Sequence[Record]) -> Journal:
    journal = Journal(root / log, limits=LIMITS)
    journal.append_all(records)
    return journal


def test_a_copy_comes_back_with_what_was_acknowledged(tmp_path: Path) -> None:
    root, copy, other = (tmp_path / name for name in ("journal", "copy", "other"))
    journal = wrote(root, "gateway-0", [opened("ex-1"), closed("ex-1"), opened("ex-2")])
    reader = JournalReader(root, "screener", TOPICS)
    reader.commit([reader.poll(5.0)[0].position])
    copy_journals(root, copy)
    journal.append_all([opened("ex-3")])
    journal.close()
    reader.close()
    assert restore_journals(copy, other, NOW) == [("gateway-0", 3, 1)]
    again = JournalReader(other, "screener", TOPICS)
    assert ids(again.poll(5.0)) == ["ex-1", "ex-2"]
    again.close()


def test_a_restored_journal_goes_on_at_positions_that_nothing_had(tmp_path: Path) -> None:
    root, copy, other = (tmp_path / name for name in ("journal", "copy", "other"))
    journal = wrote(root, "gateway-0", [opened("ex-1"), opened("ex-2"), closed("ex-1")])
    copy_journals(root, copy)
    lost = journal.append_all([closed("ex-2")])
    journal.close()
    restore_journals(copy, other, NOW)
    journal = Journal(other / "gateway-0", limits=LIMITS)
    assert [it.id for it in journal.open_exchanges()] == ["ex-2"]
    assert journal.append_all([closed("ex-2")]) == [Position("gateway-0", int(NOW), 4)]
    journal.close()
    assert lost == [Position("gateway-0", 1, 4)]
    assert ids(everything(other)) == ["ex-1", "ex-2", "ex-1", "ex-2"]


def test_a_journal_that_was_restored_can_be_restored_again(tmp_path: Path) -> None:
    wrote(tmp_path / "0", "gateway-0", [opened("ex-1")]).close()
    for number in range(3):
        copy_journals(tmp_path / str(number), tmp_path / f"copy-{number}")
        restore_journals(tmp_path / f"copy-{number}", tmp_path / str(number + 1), NOW)
    wrote(tmp_path / "3", "gateway-0", [closed("ex-1")]).close()
    assert ids(everything(tmp_path / "3")) == ["ex-1", "ex-1"]


def test_copies_that_are_made_while_much_is_written_are_whole(tmp_path: Path) -> None:
    root = tmp_path / "journal"
    journal = wrote(root, "gateway-0", [verdict(0)])
    stop = threading.Event()

    def write() -> None:
        number = 1
        while not stop.is_set():
            append(journal, *(verdict(number + n, 3000) for n in range(8)))
            number += 8

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(4):
            (copied,) = copy_journals(root, tmp_path / f"copy-{number}")
            restore_journals(tmp_path / f"copy-{number}", tmp_path / f"to-{number}", NOW)
            records = everything(tmp_path / f"to-{number}")
            assert len(records) >= copied.synced
            assert ids(records) == [f"verdict-{n}" for n in range(len(records))]
    finally:
        stop.set()
        writer.join()
        journal.close()


def test_nothing_is_written_over_and_nothing_restored_under_a_worker(tmp_path: Path) -> None:
    root, copy = tmp_path / "journal", tmp_path / "copy"
    with pytest.raises(EventLogError, match="there is no journal"):
        copy_journals(root, copy)
    wrote(root, "gateway-0", [opened("ex-1")]).close()
    reader = JournalReader(root, "screener", TOPICS)
    reader.commit([reader.poll(5.0)[0].position])
    copy_journals(root, copy)
    with pytest.raises(EventLogError, match="is there already"):
        copy_journals(root, copy)
    with pytest.raises(EventLogError, match="has gateway-0 already: restore before"):
        restore_journals(copy, root, NOW)
    (root / "gateway-0").rename(tmp_path / "away")
    with pytest.raises(EventLogError, match="'screener': stop the workers first"):
        restore_journals(copy, root, NOW)
    reader.close()
    assert [*root.glob("*/synced")] == []
    with pytest.raises(EventLogError, match="holds no journals"):
        restore_journals(tmp_path / "nowhere", root, NOW)
