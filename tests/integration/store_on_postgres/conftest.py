"""The tests in tests/unit/service/store that take a store, run again on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.store import Store, open_store
from tests.real_parts.postgres import PostgresServer, database
from tests.real_parts.same_tests import same_tests


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take the file of this folder whose name says what it stands for."""
    return same_tests(file_path, parent, "unit/service/store", ["store"])


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
