"""The mark that a writer shares with its readers."""

import threading
from pathlib import Path

import pytest

from service.events.journal.mark import Mark


def test_readers_see_what_the_writer_set(tmp_path: Path) -> None:
    writer = Mark(tmp_path / "synced", writable=True)
    reader = Mark(tmp_path / "synced", writable=False)
    assert reader.get() == 0
    for offset in (1, 2**40, 2**63):
        writer.set(offset)
        assert reader.get() == offset
    writer.close()
    writer.close()
    assert writer.get() == 2**63, "a closed mark still says what it was"
    reader.close()


def test_the_mark_outlives_its_writer(tmp_path: Path) -> None:
    first = Mark(tmp_path / "synced", writable=True)
    first.set(7)
    first.close()
    second = Mark(tmp_path / "synced", writable=True)
    assert second.get() == 7
    second.close()


def test_no_reader_ever_sees_a_value_that_was_not_set(tmp_path: Path) -> None:
    writer = Mark(tmp_path / "synced", writable=True)
    reader = Mark(tmp_path / "synced", writable=False)
    values = [0, 2**64 - 1, 0x5555555555555555]
    done = threading.Event()

    def keep_setting() -> None:
        while not done.is_set():
            for value in values:
                writer.set(value)

    thread = threading.Thread(target=keep_setting)
    thread.start()
    seen = {reader.get() for _ in range(50_000)}
    done.set()
    thread.join()
    assert seen <= set(values)
    writer.close()
    reader.close()


@pytest.mark.parametrize("content", [b"\x01" * 16, b"garbage that is long enough"])
def test_a_damaged_mark_lets_readers_read_nothing_until_a_writer_sets_it(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "synced").write_bytes(content)
    reader = Mark(tmp_path / "synced", writable=False)
    assert reader.get() == 0
    writer = Mark(tmp_path / "synced", writable=True)
    writer.set(5)
    assert reader.get() == 5
    writer.close()
    reader.close()


@pytest.mark.parametrize("content", [b"", b"short"])
def test_a_short_mark_is_no_mark_until_a_writer_makes_it_whole(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "synced").write_bytes(content)
    with pytest.raises(ValueError, match="map"):
        Mark(tmp_path / "synced", writable=False)
    writer = Mark(tmp_path / "synced", writable=True)
    assert writer.get() == 0
    writer.close()
