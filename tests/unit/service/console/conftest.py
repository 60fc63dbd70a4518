from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real_parts.admin import AdminApi


@pytest.fixture
def api(tmp_path: Path) -> Iterator[AdminApi]:
    one = AdminApi(tmp_path)
    yield one
    one.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminApi]:
    """One that the tests of a file share: they change nothing, or only what is theirs."""
    one = AdminApi(tmp_path_factory.mktemp("admin"))
    yield one
    one.close()
