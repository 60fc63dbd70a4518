import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from service.commands import keys
from service.core.callers import Caller, Denial, authenticate, digest_key
from service.errors import ConfigError
from service.store import load_pepper, load_snapshot, open_store

CONFIG = """
data_dir: var
upstreams: [{name: local, url: "http://127.0.0.1:8000"}]
models: [{name: m, upstream: local, tier: 1}]
store: {url: "sqlite:///var/watchgate.db"}
"""


class Cli:
    """Runs the commands on the settings of a folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.err = ""
        self._capsys = capsys
        (folder / "watchgate.yaml").write_text(CONFIG)

    def __call__(self, *words: str, code: int = 0) -> str:
        """Run `keys WORDS`, which must end with this exit code; return its stdout."""
        parser = argparse.ArgumentParser("watchgate")
        keys.add_parser(parser.add_subparsers(required=True))
        config = ["--config", str(self.folder / "watchgate.yaml")]
        args = parser.parse_args(["keys", words[0], *config, *words[1:]])
        assert args.run(args) == code
        captured = self._capsys.readouterr()
        self.err = captured.err
        return captured.out

    def json(self, *words: str) -> Any:  # noqa: ANN401
        return json.loads(self(*words, "--json"))

    def who(self, key: str, now: float = 0.0) -> Caller | Denial:
        """Return whom a gateway would take the key for."""
        store = open_store(f"sqlite:///{self.folder}/var/watchgate.db")
        digest = digest_key(load_pepper(self.folder / "var", None), key)
        found = authenticate(load_snapshot(store, now), digest, now)
        store.close()
        return found


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(tmp_path, capsys)


def test_a_created_key_is_shown_once_and_works(cli: Cli) -> None:
    made = cli.json("create", "--project", "search")
    assert list(made) == ["id", "key", "prefix", "project", "expires_at"]
    assert made["key"].startswith(made["prefix"])
    assert made["expires_at"] is None
    assert "shown this once" in cli.err
    assert cli.who(made["key"]) == Caller(made["id"], "search", account="search")


def test_the_key_is_kept_in_no_file(cli: Cli) -> None:
    made = cli.json("create", "--project", "search")
    secret = made["key"].removeprefix(made["prefix"]).encode()
    files = [path for path in cli.folder.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if secret in path.read_bytes()]


def test_a_list_has_the_same_objects_without_the_key(cli: Cli) -> None:
    made = cli.json("create", "--project", "search", "--expires", "90d")
    cli.json("create", "--project", "chat")
    (listed,) = cli.json("list", "--project", "search")
    assert listed["created_by"].startswith("cli:")
    assert listed["revoked_at"] is None
    assert listed["created_at"] < listed["expires_at"]
    del made["key"]
    assert made.items() <= listed.items()
    assert len(cli.json("list")) == 2


def test_a_list_for_people_shows_prefixes_in_columns(cli: Cli) -> None:
    made = cli.json("create", "--project", "search")
    heading, line = cli("list").splitlines()
    assert heading.split()[:3] == ["ID", "PREFIX", "PROJECT"]
    assert line.split()[:3] == [made["id"], made["prefix"], "search"]


def test_a_revoked_key_is_refused(cli: Cli) -> None:
    made = cli.json("create", "--project", "search")
    assert cli("revoke", made["id"]) == ""
    assert cli.who(made["key"]) is Denial.REVOKED
    cli("revoke", made["id"])
    assert "was revoked before" in cli.err


def test_a_rotated_key_works_beside_the_new_one_until_the_overlap_ends(cli: Cli) -> None:
    old = cli.json("create", "--project", "search")
    new = cli.json("rotate", old["id"], "--overlap", "1h")
    assert new["project"] == "search"
    assert new["key"] != old["key"]
    assert cli.who(old["key"]) == Caller(old["id"], "search", account="search")
    assert cli.who(old["key"], now=1e11) is Denial.EXPIRED
    assert cli.who(new["key"], now=1e11) == Caller(new["id"], "search", account="search")


def test_a_new_key_lives_as_long_as_the_old_one_was_meant_to(cli: Cli) -> None:
    old = cli.json("create", "--project", "search", "--expires", "30d")
    new = cli.json("rotate", old["id"])
    assert new["expires_at"] >= old["expires_at"]


def test_a_revoked_key_cannot_be_rotated(cli: Cli) -> None:
    made = cli.json("create", "--project", "search")
    cli("revoke", made["id"])
    assert cli("rotate", made["id"], code=1) == ""
    assert "is revoked: make a new one" in cli.err
    assert len(cli.json("list")) == 1


@pytest.mark.parametrize("command", ["revoke", "rotate"])
def test_an_id_that_is_none_is_a_problem_that_says_where_to_look(cli: Cli, command: str) -> None:
    assert cli(command, "key_nobody", code=1) == ""
    assert "no key has the id 'key_nobody'; watchgate keys list" in cli.err


@pytest.mark.parametrize(
    "words",
    [
        ["create"],
        ["create", "--project", "a b"],
        ["create", "--project", "-"],
        ["create", "--project", "a", "--expires", "90"],
        ["create", "--project", "a", "--expires", "0d"],
        ["create", "--project", "a", "--expires", "999999999d"],
        ["rotate"],
        ["list", "--unknown"],
    ],
)
def test_wrong_usage_is_exit_code_2(cli: Cli, words: list[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        cli(*words)
    assert exited.value.code == 2


@pytest.mark.parametrize("command", ["create", "list", "revoke", "rotate"])
def test_help_has_an_example(cli: Cli, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli(command, "--help")
    assert f"example:\n  watchgate keys {command} " in capsys.readouterr().out


def test_the_settings_are_found_by_the_environment(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WATCHGATE_CONFIG", str(cli.folder / "watchgate.yaml"))
    parser = argparse.ArgumentParser("watchgate")
    keys.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["keys", "list", "--json"])
    assert args.run(args) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_keys_are_not_made_under_another_pepper(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.json("create", "--project", "search")
    monkeypatch.setenv("WATCHGATE_AUTH__PEPPER", "quite another pepper")
    with pytest.raises(ConfigError, match="another pepper"):
        cli("create", "--project", "search")
