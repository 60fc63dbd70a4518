"""The tests in tests/unit/service/store that take a store, run again on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from service.store import Store, open_store
from tests.real_parts.postgres import PostgresServer, database

UNIT_TESTS: Final = Path(__file__).resolve().parents[2] / "unit" / "service" / "store"


class SameTests(pytest.File):
    """Stands for the unit tests' modules, but for those that are about SQLite."""

    def collect(self) -> Iterator[pytest.Module]:
        for path in sorted(UNIT_TESTS.glob("test_*.py")):
            if not path.stem.startswith("test_sqlite"):
                yield StoreTests.from_parent(self, path=path, nodeid=f"{self.nodeid}::{path.stem}")


class StoreTests(pytest.Module):
    """What a module has for the fixture `store`, which is another one here."""

    def collect(self) -> list[pytest.Item | pytest.Collector]:
        return [it for it in super().collect() if "store" in getattr(it, "fixturenames", ())]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take the file of this folder whose name says what it stands for."""
    if file_path.name != "test_as_the_unit_tests.py":
        return None
    found: SameTests = SameTests.from_parent(parent, path=file_path)
    return found


@pytest.fixture
def store_url(postgres: PostgresServer) -> Iterator[str]:
    with database(postgres) as url:
        yield url


@pytest.fixture
def empty_url(postgres: PostgresServer) -> Iterator[str]:
    with database(postgres, "template0") as url:
        yield url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = open_store(store_url)
    yield opened
    opened.close()
