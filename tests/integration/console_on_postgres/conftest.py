"""The tests in tests/integration/console that ask the admin API, run again on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real_parts.admin import AdminApi
from tests.real_parts.postgres import PostgresServer, database
from tests.real_parts.same_tests import same_tests


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take the file of this folder whose name says what it stands for."""
    return same_tests(file_path, parent, "integration/console", ["api"])


@pytest.fixture(scope="session")
def whole(postgres: PostgresServer) -> Iterator[AdminApi]:
    with database(postgres) as url:
        one = AdminApi(url)
        yield one
        one.close()


@pytest.fixture
def api(whole: AdminApi, postgres: PostgresServer) -> Iterator[AdminApi]:
    whole.store.close()  # nobody may be connected to what is copied
    with database(postgres, template=whole.pristine.rpartition("/")[2]) as url:
        whole.start_anew(url)
        yield whole
