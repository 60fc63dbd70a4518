from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from service.store import Store, revision
from service.store.keys import StoredKey, add_key
from service.store.tables import keys
from service.workers.key_uses import KeyUses
from tests.real_parts.store import new_store

HOUR = 3600.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = new_store(tmp_path / "watchgate.db")
    with opened.begin() as connection:
        for name in ("key_1", "key_2"):
            stored = StoredKey(name, "acme", "sk-wg-", 0.0, "cli:ann", None)
            add_key(connection, stored, name.encode(), "pepper")
    yield opened
    opened.close()


def last_used(store: Store) -> dict[str, float | None]:
    with store.read() as connection:
        rows = connection.execute(select(keys.c.id, keys.c.last_used_at))
        return {row.id: row.last_used_at for row in rows}


def test_the_hour_of_the_last_use_is_kept(store: Store) -> None:
    uses = KeyUses(store)
    uses.note("key_1", 5 * HOUR + 100)
    uses.note("key_1", 5 * HOUR + 3599)
    assert last_used(store)["key_1"] is None
    uses.save()
    assert last_used(store) == {"key_1": 5 * HOUR, "key_2": None}
    uses.note("key_1", 6 * HOUR)
    uses.note("key_2", 5 * HOUR)
    uses.save()
    assert last_used(store) == {"key_1": 6 * HOUR, "key_2": 5 * HOUR}


def test_gateways_do_not_hear_of_it(store: Store) -> None:
    before = revision(store)
    uses = KeyUses(store)
    uses.note("key_1", HOUR)
    uses.save()
    assert revision(store) == before


def test_within_an_hour_a_key_is_written_once(store: Store) -> None:
    uses = KeyUses(store)
    uses.note("key_1", HOUR)
    uses.save()
    with store.begin() as connection:
        connection.execute(keys.update().values(last_used_at=None))
    uses.note("key_1", HOUR + 10)
    uses.save()
    assert last_used(store)["key_1"] is None


def test_what_comes_late_does_not_set_the_hour_back(store: Store) -> None:
    for at in (9 * HOUR, 7 * HOUR):
        uses = KeyUses(store)  # a process that starts anew knows nothing of the one before
        uses.note("key_1", at)
        uses.save()
    assert last_used(store)["key_1"] == 9 * HOUR


def test_a_key_that_the_store_does_not_have_does_no_harm(store: Store) -> None:
    uses = KeyUses(store)
    uses.note("key_gone", HOUR)
    uses.note("key_1", HOUR)
    uses.save()
    assert last_used(store)["key_1"] == HOUR


def test_many_keys_are_written_a_part_at_a_time(store: Store) -> None:
    uses = KeyUses(store)
    for number in range(1500):
        uses.note(f"key_of_others_{number}", HOUR)
    uses.note("key_1", HOUR)
    uses.save()
    assert last_used(store)["key_1"] is None
    uses.save()
    assert last_used(store)["key_1"] == HOUR
