"""Backup and restore as an operator does them."""

import argparse
import gzip
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from service.commands import keys, pepper, store
from service.core.callers import Denial, authenticate, digest_key
from service.errors import BackupError
from service.settings import load
from service.store import Store, load_snapshot, open_store
from service.store.tables import audit
from service.wiring.peppers import peppers_of

CONFIG = """
data_dir: var
upstreams: [{name: local, url: "http://127.0.0.1:8000"}]
models: [{name: m, upstream: local, tier: 1}]
"""


class Cli:
    """Runs the commands on the settings of a folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.config = folder / "watchgate.yaml"
        self.err = ""
        self._capsys = capsys
        self.use("watchgate.db")

    def use(self, database: str) -> None:
        """Have the store be another database."""
        self.url = f"sqlite:///{self.folder}/var/{database}"
        self.config.write_text(f'{CONFIG}store: {{url: "{self.url}"}}')

    def __call__(self, *words: str, code: int = 0) -> str:
        """Run `watchgate WORDS`, which must end with this exit code; return its stdout."""
        parser = argparse.ArgumentParser("watchgate")
        commands = parser.add_subparsers(required=True)
        for module in (keys, pepper, store):
            module.add_parser(commands)
        args = parser.parse_args([*words[:2], "--config", str(self.config), *words[2:]])
        assert args.run(args) == code
        captured = self._capsys.readouterr()
        self.err = captured.err
        return captured.out

    def json(self, *words: str) -> Any:  # noqa: ANN401
        return json.loads(self(*words, "--json"))

    def new_key(self) -> tuple[str, str]:
        made = self.json("keys", "create", "--project", "p")
        return made["id"], made["key"]

    def outcome(self, key: str) -> str:
        """Return what a gateway would say to a key: "let in", or why not."""
        now = time.time()
        with self.opened() as opened:
            snapshot = load_snapshot(opened, now)
        digests = [digest_key(pepper, key) for pepper in peppers_of(load(self.config))]
        found = [authenticate(snapshot, digest, now) for digest in digests]
        told = [it for it in found if it is not Denial.UNKNOWN]
        if not told:
            return str(Denial.UNKNOWN)
        return str(told[0]) if isinstance(told[0], Denial) else "let in"

    @contextmanager
    def opened(self) -> Iterator[Store]:
        opened = open_store(self.url)
        yield opened
        opened.close()

    def audited(self) -> list[Any]:
        """Return the entries that tell of the store."""
        with self.opened() as opened, opened.read() as connection:
            of_the_store = select(audit).where(audit.c.action.startswith("store."))
            return list(connection.execute(of_the_store.order_by(audit.c.seq)).all())


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(tmp_path, capsys)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "backups" / "monday.jsonl.gz"


def backed_up(cli: Cli, file: Path) -> Any:  # noqa: ANN401
    file.parent.mkdir(exist_ok=True)
    return cli.json("store", "backup", str(file))


def test_a_store_is_moved_to_another_database_and_its_keys_work_there(cli: Cli, file: Path) -> None:
    (_, lasting), (gone_id, gone) = cli.new_key(), cli.new_key()
    cli("keys", "revoke", gone_id)
    made = backed_up(cli, file)
    assert made["file"] == str(file)
    assert made["rows"]["keys"] == 2
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    cli.use("moved.db")
    assert cli.outcome(lasting) == "unknown"
    restored = cli.json("store", "restore", str(file), "--reason", "moved")
    assert restored["rows"] == made["rows"]
    assert cli.outcome(lasting) == "let in"
    assert cli.outcome(gone) == "revoked"


def test_no_key_is_in_a_backup(cli: Cli, file: Path) -> None:
    _, key = cli.new_key()
    backed_up(cli, file)
    data = gzip.decompress(file.read_bytes())
    assert key[:12].encode() in data
    assert key[12:].encode() not in data
    assert (cli.folder / "var" / "pepper").read_bytes().strip() not in data


def test_a_restore_warns_that_what_was_revoked_since_works_again(cli: Cli, file: Path) -> None:
    key_id, key = cli.new_key()
    backed_up(cli, file)
    cli("keys", "revoke", key_id)
    cli.use("new.db")
    cli("store", "restore", str(file))
    assert cli.outcome(key) == "let in"
    assert "were revoked, or end sooner, since: they work again" in cli.err
    assert "watchgate keys revoke" in cli.err


def test_what_was_revoked_since_stays_so_in_a_store_that_is_replaced(cli: Cli, file: Path) -> None:
    (gone_id, gone), (_, lasting) = cli.new_key(), cli.new_key()
    backed_up(cli, file)
    cli("keys", "revoke", gone_id)
    _, late = cli.new_key()
    with pytest.raises(
        BackupError, match=r"monday.jsonl.gz: the store has keys already.*--replace"
    ):
        cli("store", "restore", str(file))
    restored = cli.json("store", "restore", str(file), "--replace")
    assert restored["stricter"]["keys"] == 1
    assert restored["keys_dropped"] == 1
    assert [cli.outcome(key) for key in (gone, lasting, late)] == ["revoked", "let in", "unknown"]
    assert "stays so (keys: 1)" in cli.err
    assert "1 keys that were in the store are not in the backup" in cli.err


def test_backup_and_restore_are_in_the_audit_log(cli: Cli, file: Path) -> None:
    cli.new_key()
    backed_up(cli, file)
    cli("store", "restore", str(file), "--replace", "--reason", "a drill")
    entries = cli.audited()
    assert [entry.action for entry in entries] == ["store.backup", "store.restore"]
    assert [entry.reason for entry in entries] == [None, "a drill"]
    assert all(entry.actor.startswith("cli:") for entry in entries)
    assert json.loads(entries[0].after)["rows"]["keys"] == 1
    assert json.loads(entries[1].after)["audit_kept"] is True


def test_a_backup_from_before_a_rotation_is_restored_after_it(cli: Cli, file: Path) -> None:
    _, key = cli.new_key()
    backed_up(cli, file)
    cli("pepper", "rotate")
    cli("pepper", "switch")
    cli("store", "restore", str(file), "--replace")
    assert cli.outcome(key) == "let in"
    cli.use("new.db")
    cli("store", "restore", str(file))
    assert cli.outcome(key) == "let in"
    assert [one["state"] for one in cli.json("pepper", "status")] == ["waiting", "in_use"]


def test_a_backup_takes_the_place_of_an_older_one_only_when_it_is_whole(
    cli: Cli, file: Path
) -> None:
    backed_up(cli, file)
    first = file.read_bytes()
    with cli.opened() as opened, opened.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE coverage_gaps RENAME TO lost")
    with pytest.raises(Exception, match="no such table: coverage_gaps"):
        cli("store", "backup", str(file))
    assert file.read_bytes() == first
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_file_that_cannot_be_used_is_named(cli: Cli, command: str, file: Path) -> None:
    with pytest.raises(BackupError, match=r"monday\.jsonl\.gz: No such file"):
        cli("store", command, str(file))


def test_a_backup_of_another_installation_is_refused(cli: Cli, file: Path) -> None:
    backed_up(cli, file)
    (cli.folder / "var" / "pepper").write_text("the pepper of another installation")
    cli.use("new.db")
    with pytest.raises(BackupError, match=r"under pepper .*bring back its file"):
        cli("store", "restore", str(file))


def test_long_work_is_told(cli: Cli, file: Path) -> None:
    cli.new_key()
    with cli.opened() as opened, opened.begin() as connection:
        connection.exec_driver_sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000) "
            "INSERT INTO effects SELECT 'v' || i, 1.0 FROM n"
        )
    backed_up(cli, file)
    assert "effects: 20000 rows\neffects: 40000 rows\n" in cli.err


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_help_has_an_example(cli: Cli, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli("store", command, "--help")
    assert f"example:\n  watchgate store {command} " in capsys.readouterr().out


def test_migrate_makes_the_tables_and_may_be_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = Cli(tmp_path, capsys)
    for _ in range(2):
        assert cli("store", "migrate") == ""
        assert "up to date" in cli.err
    with cli.opened() as opened, opened.read() as connection:
        assert connection.execute(select(audit)).all() == []
