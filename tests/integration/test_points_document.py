"""docs/points.md, word for word: its commands are run, and print what it says."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from service.cli import main
from service.core.error_rates import rows_needed
from service.core.points import PointState
from service.core.roles import ROLES, Permission

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "points.md"
CONFIG: Final = """
data_dir: var
upstreams: [{name: local, url: "http://127.0.0.1:8000"}]
models: [{name: llama, upstream: local, tier: 1}]
"""
ID: Final = re.compile(r"\bop_[A-Za-z0-9_-]{12}")
TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def steps() -> Iterator[tuple[str, str]]:
    """Yield each command of the document with what it says is printed."""
    for block in re.findall(r"```console\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition("\n")
            yield command, output


def comparable(text: str) -> str:
    """Take away what is another with each run, and how wide columns are."""
    return " ".join(ID.sub("ID", TIME.sub("TIME", text)).split())


def test_the_commands_of_the_document_print_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "watchgate.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOGNAME", "alice")
    real = "none yet"
    for command, expected in steps():
        assert main(shlex.split(ID.sub(real, command))[1:]) == 0, command
        printed = capsys.readouterr()
        assert comparable(printed.out + printed.err) == comparable(expected), command
        real = next(iter(ID.findall(printed.out + printed.err)))


def test_the_document_has_every_step_of_a_points_life() -> None:
    said = {shlex.split(command)[2] for command, _ in steps()}
    assert said == {"propose", "promote", "list", "rollback", "retire"}


def test_the_document_says_who_may_do_what_and_how_many_rows_a_rate_needs() -> None:
    text = DOCUMENT.read_text("utf-8")
    proposers = ", ".join(f"`{role}`" for role in sorted(ROLES[Permission.PROPOSE_POINTS]))
    deciders = ", ".join(f"`{role}`" for role in sorted(ROLES[Permission.WRITE_POINTS]))
    assert proposers == "`admin`, `analyst`"
    assert deciders == "`admin`, `operator`"
    assert text.count("`analyst`, `admin` |") == 1
    assert text.count("`operator`, `admin` |") == 3
    for share in (0.01, 0.001, 0.0001):
        assert f"{rows_needed(share):,} for {share:.4f}".rstrip("0") in text
    assert all(f"`{state}`" in text for state in PointState)
