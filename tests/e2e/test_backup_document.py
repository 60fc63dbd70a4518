"""docs/backup.md, word for word: traffic, a backup meanwhile, the machine lost, a restore."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from service.cli import main
from service.events.journal import journal_folders, oldest_unread, read_topic
from service.events.journal.groups import Group, groups_folder
from service.events.log import Position, Topic
from service.wiring.parts import AUDITOR, COVERAGE, ENFORCER, SCREENER
from tests.real_parts.installation import ROOT, START_S, Installation, installation
from tests.real_parts.serving import until

DOCUMENT: Final = ROOT / "docs" / "backup.md"
SHOWN_KEY: Final = "key_2mVqTz8bKx1c"
SHOWN_EXCHANGE: Final = "ex-0f3c2a6b9d1e4f5800000001"
GROUPS: Final = (SCREENER, ENFORCER, COVERAGE, AUDITOR)
BY_HAND: Final = "watchgate up"
"""It goes on running: the test starts it in its own way."""


def commands_under(title: str) -> list[str]:
    """Return the commands of a section of the document."""
    section = DOCUMENT.read_text("utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


class Operator:
    """Who types commands where `watchgate.yaml` and `var` are; those of Watchgate run in here."""

    def __init__(self, one: Installation, tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._one, self._tmp, self._capsys = one, tmp, capsys
        (one.folder / "watchgate.yaml").symlink_to(one.config.name)

    def types(self, command: str, real: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Run a command, with this test's folders and ids in place of the document's.

        Return its exit code, and what it printed.
        """
        command = re.sub(r"(?<= )/(backups|secrets)\b", rf"{self._tmp}/\1", command)
        for shown, meant in (real or {}).items():
            command = command.replace(shown, meant)
        program, *words = shlex.split(command)
        if program == "watchgate":
            with contextlib.chdir(self._one.folder):
                code = main(words)
            captured = self._capsys.readouterr()
            return code, captured.out or captured.err
        done = subprocess.run(
            ["sh", "-c", command], cwd=self._one.folder, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stderr


def is_settled(one: Installation) -> bool:
    """Say whether the workers have acknowledged all that there is."""
    root = one.data_dir / "journal"
    groups = [Group(groups_folder(root), name).load() for name in GROUPS]
    return all(
        oldest_unread(folder, group.get(folder.name)) is None
        for folder in journal_folders(root)
        for group in groups
    )


def places(one: Installation) -> dict[Position, tuple[str, str]]:
    """Return what stands where in the journals."""
    root = one.data_dir / "journal"
    found = [it for topic in Topic for it in read_topic(root, topic)]
    return {it.position: (it.record.kind, it.record.id) for it in found}


def lose(one: Installation) -> None:
    """Take the machine away, as it stands."""
    assert one.process is not None
    for pid in [one.process.pid, *one.pids().values()]:
        os.kill(pid, signal.SIGKILL)
    one.process.wait(START_S)
    one.process = None
    shutil.rmtree(one.data_dir)
    (one.folder / "watchgate.yaml").unlink()


@contextlib.contextmanager
def under_way(one: Installation) -> Iterator[str]:
    """Have an answer under way; give the exchange's id."""
    connection, answer = one.open_chat("How many sheep?", model="slow", stream=True)
    try:
        yield str(answer.headers["x-watchgate-receipt"])
    finally:
        connection.close()


@pytest.mark.timeout(600)
def test_an_installation_comes_back_by_the_commands_of_the_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "machine").mkdir()
    with installation(tmp_path / "machine") as one:
        operator = Operator(one, tmp_path, capsys)
        to_revoke = json.loads(operator.types("watchgate keys create --project test --json")[1])
        before = [one.chat(f"How tall is lighthouse {n}?") for n in range(3)]
        until(lambda: is_settled(one), START_S)
        with under_way(one) as interrupted:
            for command in commands_under("Backing up"):
                assert operator.types(command)[0] == 0, command
            lost = one.chat("How old is the lighthouse?")
            assert operator.types(f"watchgate keys revoke {to_revoke['id']}")[0] == 0
            handed_out = places(one)
            lose(one)
        restored = {SHOWN_KEY: to_revoke["id"], SHOWN_EXCHANGE: before[0]}
        for command in commands_under("When the machine is lost"):
            come_back(one, operator, command, restored)
        after = one.chat("How far does it shine?")
        until(lambda: is_settled(one), START_S)
        check_callers(one, to_revoke["key"])
        check_evidence(one, before, interrupted)
        assert operator.types(f"watchgate receipts show {lost}")[0] == 1
        check_positions(one, handed_out)
        check_effects(one, before, after)


def come_back(
    one: Installation, operator: Operator, command: str, restored: Mapping[str, str]
) -> None:
    """Follow the document by a command."""
    if command == BY_HAND:
        one.start()
        until(lambda: one.chat_status() == 200, START_S)
    elif command == "watchgate doctor":
        found = json.loads(operator.types(f"{command} --json")[1])
        about = ("data_dir", "store")  # processes of others may be on this machine
        wrong = [it for it in found if it["check"].startswith(about) and it["status"] == "problem"]
        assert wrong == []
    else:
        code, told = operator.types(command, restored)
        assert code == 0, (command, told)


def check_callers(one: Installation, revoked: str) -> None:
    """The key works, and the one that was revoked again does not."""
    assert one.chat_status() == 200
    good, one.key = one.key, revoked
    assert one.chat_status() == 401
    one.key = good


def check_evidence(one: Installation, before: list[str], interrupted: str) -> None:
    for exchange_id in before:
        assert [it.exchange_id for it in one.of_exchange(exchange_id)] == [exchange_id] * 2
    ends = [getattr(it, "outcome", "") for it in one.of_exchange(interrupted)]
    assert ends == ["", "interrupted"]


def check_positions(one: Installation, handed_out: Mapping[Position, tuple[str, str]]) -> None:
    """No position stands for another record than the one that it stood for before."""
    now = places(one)
    assert {it: now[it] for it in now.keys() & handed_out.keys()} == {
        it: handed_out[it] for it in now.keys() & handed_out.keys()
    }
    ids = Counter(one_id for kind, one_id in now.values() if kind == "opened")
    assert max(ids.values()) == 1


def check_effects(one: Installation, before: list[str], after: str) -> None:
    """Each prompt was alerted of once, and what was acknowledged by the backup screened once.

    What was under way then may have been screened again: its verdicts are the same.
    """
    verdicts = Counter(it.id for it in one.verdicts() if it.exchange_id in before)
    assert set(verdicts.values()) == {1}
    prompts = {it.exchange_id for it in one.verdicts() if it.part == "prompt" and it.crossed}
    assert after in prompts
    until(lambda: one.alert_count() >= len(prompts), START_S)
    assert one.alert_count() == len(prompts)
