"""The pepper's rotation as an operator does it."""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from service.commands import keys, pepper
from service.core.callers import Denial, authenticate, digest_key
from service.errors import ConfigError, PepperRefused
from service.settings import load
from service.store import Store, load_snapshot, open_store
from service.store.pepper import pepper_id, pepper_in_use
from service.store.redigest import Redigests
from service.store.tables import audit
from service.wiring.peppers import peppers_of

CONFIG = """
data_dir: var
upstreams: [{name: local, url: "http://127.0.0.1:8000"}]
models: [{name: m, upstream: local, tier: 1}]
store: {url: "sqlite:///var/watchgate.db"}
"""
FIRST, SECOND = "the first of peppers", "the second of peppers"


class Cli:
    """Runs the commands on the settings of a folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.config = folder / "watchgate.yaml"
        self.data_dir = folder / "var"
        self.err = ""
        self._capsys = capsys
        self.configure("")

    def configure(self, auth: str) -> None:
        self.config.write_text(CONFIG + auth)

    def __call__(self, *words: str, code: int = 0) -> str:
        """Run `watchgate WORDS`, which must end with this exit code; return its stdout."""
        parser = argparse.ArgumentParser("watchgate")
        commands = parser.add_subparsers(required=True)
        pepper.add_parser(commands)
        keys.add_parser(commands)
        args = parser.parse_args([*words[:2], "--config", str(self.config), *words[2:]])
        assert args.run(args) == code
        captured = self._capsys.readouterr()
        self.err = captured.err
        return captured.out

    def status(self) -> list[Any]:
        listed: list[Any] = json.loads(self("pepper", "status", "--json"))
        return listed

    def states(self) -> list[tuple[str, int]]:
        return [(one["state"], one["live_keys"]) for one in self.status()]

    def new_key(self) -> str:
        key: str = json.loads(self("keys", "create", "--project", "p", "--json"))["key"]
        return key

    def peppers(self) -> tuple[bytes, ...]:
        return peppers_of(load(self.config))

    @contextmanager
    def store(self) -> Iterator[Store]:
        store = open_store(f"sqlite:///{self.data_dir}/watchgate.db")
        yield store
        store.close()

    def audited(self) -> list[str]:
        with self.store() as store, store.read() as connection:
            of_peppers = select(audit.c.action).where(audit.c.action.startswith("pepper."))
            return list(connection.execute(of_peppers.order_by(audit.c.seq)).scalars())


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(tmp_path, capsys)


class GatewayLike:
    """Looks keys up as a gateway does that was started with these peppers."""

    def __init__(self, cli: Cli) -> None:
        self.peppers = cli.peppers()
        self.redigests = Redigests(self.peppers[0])
        self.cli = cli

    def knows(self, key: str) -> bool:
        """Say whether the key is known, and have it digested anew if it is under another pepper."""
        with self.cli.store() as store:
            snapshot = load_snapshot(store, 0.0)
            digests = [digest_key(pepper, key) for pepper in self.peppers]
            found = [it for it in digests if authenticate(snapshot, it, 0.0) is not Denial.UNKNOWN]
            for digest in found[:1]:
                self.redigests.note(digest, digests[0])
            self.redigests.flush(store)
        return bool(found)


def test_every_key_is_known_to_every_gateway_through_a_whole_rotation(cli: Cli) -> None:
    first = cli.new_key()
    early, late = GatewayLike(cli), GatewayLike(cli)
    old = pepper_id(cli.peppers()[0])

    cli("pepper", "rotate")
    assert "restart every gateway" in cli.err
    assert cli.states() == [("waiting", 0), ("in_use", 1)]
    second = cli.new_key()
    assert all(one.knows(key) for key in (first, second) for one in (early, late))
    early = GatewayLike(cli)
    assert all(one.knows(key) for key in (first, second) for one in (early, late))
    assert cli.states() == [("waiting", 0), ("in_use", 2)]
    late = GatewayLike(cli)

    cli("pepper", "switch")
    assert f"watchgate pepper retire {old}" in cli.err
    third = cli.new_key()
    assert cli.states() == [("in_use", 1), ("previous", 2)]
    assert all(one.knows(key) for key in (first, second, third) for one in (early, late))
    assert cli.states() == [("in_use", 3), ("previous", 0)]

    cli("pepper", "retire", old)
    assert cli.states() == [("in_use", 3), ("retired", 0)]
    last = GatewayLike(cli)
    assert len(last.peppers) == 1
    assert all(one.knows(key) for key in (first, second, third) for one in (early, late, last))
    assert [path.name for path in cli.data_dir.glob("pepper*")] == ["pepper"]
    assert cli.audited() == ["pepper.rotate", "pepper.retire"]


def test_rotating_again_before_the_switch_makes_no_other(cli: Cli) -> None:
    cli("pepper", "rotate")
    peppers = cli.peppers()
    cli("pepper", "rotate")
    assert cli.peppers() == peppers
    cli("pepper", "switch")
    cli("pepper", "switch")
    assert "in use already" in cli.err
    cli("pepper", "rotate")
    assert cli.peppers()[1:] == peppers


def test_a_rotation_can_be_given_up_before_the_switch(cli: Cli) -> None:
    key = cli.new_key()
    (before,) = cli.peppers()
    cli("pepper", "rotate")
    waiting = cli.status()[0]
    cli("pepper", "retire", waiting["id"])
    assert "never in use" in cli.err
    assert cli.peppers() == (before,)
    assert GatewayLike(cli).knows(key)


def test_a_pepper_with_live_keys_is_retired_by_force_alone(cli: Cli) -> None:
    cli.new_key()
    old = cli.status()[0]["id"]
    cli("pepper", "rotate")
    cli("pepper", "switch")
    with pytest.raises(PepperRefused, match="1 live keys"):
        cli("pepper", "retire", old)
    assert len(cli.peppers()) == 2
    cli("pepper", "retire", old, "--force")
    assert "1 keys and 0 admin tokens were revoked" in cli.err
    assert len(cli.peppers()) == 1
    assert json.loads(cli("keys", "list", "--json"))[0]["revoked_at"]


def test_a_retirement_that_was_broken_off_is_completed_by_another(cli: Cli) -> None:
    cli("pepper", "rotate")
    old = pepper_id(cli.peppers()[1])
    cli("pepper", "switch")
    previous = (cli.data_dir / "pepper.previous").read_bytes()
    cli("pepper", "retire", old)
    (cli.data_dir / "pepper.previous").write_bytes(previous)
    cli("pepper", "retire", old)
    assert "was retired before" in cli.err
    assert len(cli.peppers()) == 1


def test_a_configured_pepper_is_rotated_in_the_settings(cli: Cli) -> None:
    cli.configure(f"auth: {{pepper: {FIRST}}}")
    key = cli.new_key()
    cli("pepper", "rotate", code=1)
    assert "auth.previous_peppers" in cli.err
    assert FIRST not in cli.err
    cli.configure(f"auth: {{pepper: {SECOND}, previous_peppers: [{FIRST}]}}")
    cli("pepper", "rotate")
    assert "run watchgate pepper switch" in cli.err
    gateway = GatewayLike(cli)
    assert gateway.knows(key)
    cli("pepper", "switch")
    assert gateway.knows(key)
    cli("pepper", "retire", pepper_id(FIRST.encode()))
    assert "Take it out of the settings" in cli.err
    cli.configure(f"auth: {{pepper: {SECOND}}}")
    assert GatewayLike(cli).knows(key)
    assert not (cli.data_dir / "pepper").exists()


def test_leaving_out_the_previous_pepper_is_refused_with_what_to_set(cli: Cli) -> None:
    cli.configure(f"auth: {{pepper: {FIRST}}}")
    cli.new_key()
    cli.configure(f"auth: {{pepper: {SECOND}}}")
    with pytest.raises(ConfigError, match=r"another pepper .*auth\.previous_peppers"):
        cli("pepper", "switch")
    with cli.store() as store:
        assert pepper_in_use(store, [FIRST.encode()]) == FIRST.encode()


def test_the_status_for_people_is_a_table(cli: Cli) -> None:
    cli.new_key()
    heading, line = cli("pepper", "status").splitlines()
    assert heading.split()[:4] == ["ID", "STATE", "MADE_AT", "RETIRED_AT"]
    assert heading.split()[4:] == ["LIVE_KEYS", "LIVE_ADMIN_TOKENS", "GIVEN_HERE"]
    assert line.split()[1] == "in_use"
    assert line.split()[3:] == ["-", "1", "0", "yes"]


@pytest.mark.parametrize("command", ["rotate", "switch", "status", "retire"])
def test_help_has_an_example(cli: Cli, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli("pepper", command, "--help")
    assert f"example:\n  watchgate pepper {command}" in capsys.readouterr().out
