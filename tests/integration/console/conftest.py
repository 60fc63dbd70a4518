import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real_parts.admin import AdminApi


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminApi]:
    one = AdminApi(f"sqlite:///{tmp_path_factory.mktemp('admin')}/watchgate.db")
    yield one
    one.close()


@pytest.fixture
def api(whole: AdminApi, tmp_path: Path) -> AdminApi:
    """The admin API of a store in which nothing has happened yet."""
    whole.store.close()
    shutil.copy(whole.pristine.removeprefix("sqlite:///"), tmp_path / "watchgate.db")
    whole.start_anew(f"sqlite:///{tmp_path}/watchgate.db")
    return whole


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminApi]:
    """One that the tests of a file share: they change nothing, or only what is theirs."""
    one = AdminApi(f"sqlite:///{tmp_path_factory.mktemp('shared')}/watchgate.db")
    yield one
    one.close()
