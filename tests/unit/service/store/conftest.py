"""A store of the test's own. tests/integration/store_on_postgres has these fixtures too."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.store import Store, open_store


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """Where `store` is."""
    return f"sqlite:///{tmp_path}/store/watchgate.db"


@pytest.fixture
def empty_url(tmp_path: Path) -> str:
    """A database without tables."""
    (tmp_path / "empty.db").touch()
    return f"sqlite:///{tmp_path}/empty.db"


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = open_store(store_url)
    yield opened
    opened.close()
