"""Ids that are remembered for a while."""

import tracemalloc

from service.core.remembered import Remembered


def id_of(number: int) -> str:
    return f"ex-{0xABCDEF0123456789:016x}{number:08x}"


def test_the_latest_are_known_and_the_oldest_forgotten() -> None:
    ids = Remembered(10)
    for number in range(100):
        ids.add(id_of(number))
        assert len(ids) <= 10
        assert all(id_of(it) in ids for it in range(max(0, number - 4), number + 1))
    assert id_of(80) not in ids


def test_ids_that_are_none_of_ours_are_kept_as_they_are() -> None:
    ids = Remembered(10)
    for one in ("a", "ex-1", "ex-ABCDEF0123456789ABCDEF01", str(int("ab" * 12, 16))):
        assert one not in ids
        ids.add(one)
        assert one in ids
    assert "ex-" + "ab" * 12 not in ids


def test_an_id_takes_little_more_than_its_number() -> None:
    tracemalloc.start()
    ids = Remembered(100_000)
    for number in range(100_000):
        ids.add(id_of(number))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken / len(ids) < 130  # 82 as measured, and 167 in an ordered dictionary
