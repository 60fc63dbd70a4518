"""A store of the test's own. tests/integration/store_on_postgres has these fixtures too."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.store import Store
from tests.real_parts.store import new_store


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
    opened = new_store(Path(store_url.removeprefix("sqlite:///")))
    yield opened
    opened.close()
