"""Readers and writers of one SQLite file, which wait for each other instead of failing."""

import threading
from pathlib import Path

import pytest

from service.store import open_store, revision
from service.store.revision import bump_revision, current_revision

TIMEOUT_S = 30.0


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_a_writer_waits_for_another_and_then_sees_what_it_did(tmp_path: Path, ending: str) -> None:
    url = f"sqlite:///{tmp_path}/watchgate.db"
    one, other = open_store(url), open_store(url)
    begun = threading.Event()
    seen: list[int] = []

    def write_after() -> None:
        begun.set()
        with other.begin() as connection:
            seen.append(current_revision(connection))
            bump_revision(connection)

    thread = threading.Thread(target=write_after)
    with one.begin() as connection:
        bump_revision(connection)
        thread.start()
        assert begun.wait(TIMEOUT_S)
        assert seen == []
        if ending == "rollback":
            connection.rollback()
    thread.join(TIMEOUT_S)
    expected = 2 if ending == "commit" else 1
    assert seen == [expected]
    assert revision(one) == expected + 1
    one.close()
    other.close()


def test_a_long_reader_sees_one_state_and_a_writer_waits_for_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/watchgate.db"
    reader, writer = open_store(url), open_store(url)
    changed = threading.Event()

    def write() -> None:
        with writer.begin() as connection:
            bump_revision(connection)
            changed.set()

    thread = threading.Thread(target=write)
    with reader.read() as connection:
        assert current_revision(connection) == 1
        thread.start()
        assert changed.wait(TIMEOUT_S)
        assert current_revision(connection) == 1
    thread.join(TIMEOUT_S)
    assert not thread.is_alive()
    assert revision(reader) == 2
    reader.close()
    writer.close()
