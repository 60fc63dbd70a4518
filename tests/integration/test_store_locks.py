"""Readers and writers of one store, which wait for each other instead of failing."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.core.audit import Entry
from service.core.directory import Snapshot
from service.store import Store, load_snapshot, open_store, refresh, revision
from service.store.audit import AuditLog
from service.store.owners import Origin, make_project
from service.store.revision import bump_revision, current_revision

TIMEOUT_S = 30.0


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_a_writer_waits_for_another_and_then_sees_what_it_did(
    empty_store_url: str, ending: str
) -> None:
    one, other = open_store(empty_store_url), open_store(empty_store_url)
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


def test_a_long_reader_sees_one_state_whatever_is_written(empty_store_url: str) -> None:
    reader, writer = open_store(empty_store_url), open_store(empty_store_url)
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


def test_revisions_become_visible_in_the_order_in_which_they_were_handed_out(
    empty_store_url: str,
) -> None:
    stores = [open_store(empty_store_url) for _ in range(3)]
    origin = Origin(1.0, "tests")
    stop = threading.Event()

    def write(store: Store, name: str) -> None:
        for number in range(20):
            with store.begin() as connection:
                make_project(connection, f"{name}-{number}", origin)
                make_project(connection, f"shared-{number}", origin)

    def watch() -> list[Snapshot]:
        seen = [load_snapshot(stores[2], 0.0)]
        while not stop.is_set():
            seen.append(refresh(stores[2], seen[-1], 0.0))
        return [*seen, refresh(stores[2], seen[-1], 0.0)]

    with ThreadPoolExecutor(3) as threads:
        watching = threads.submit(watch)
        writing = [threads.submit(write, store, f"p{i}") for i, store in enumerate(stores[:2])]
        for one in writing:
            one.result(TIMEOUT_S)
        stop.set()
        last = watching.result(TIMEOUT_S)[-1]
    assert last.projects == load_snapshot(stores[2], 0.0).projects
    assert len(last.projects) == 60
    for store in stores:
        store.close()


def test_entries_of_several_writers_are_one_chain(empty_store_url: str) -> None:
    log, stores = AuditLog(b"k" * 32), [open_store(empty_store_url) for _ in range(3)]

    def write(store: Store) -> list[int]:
        numbers = []
        for _ in range(20):
            with store.begin() as connection:
                numbers.append(log.record(connection, Entry(1.0, "cli:tester", "key.create", "it")))
        return numbers

    with ThreadPoolExecutor(len(stores)) as threads:
        numbers = [number for many in threads.map(write, stores) for number in many]
    assert sorted(numbers) == list(range(1, 61))
    for store in stores:
        store.close()
