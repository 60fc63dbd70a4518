"""docs/points.md, word for word: its commands are run, and print what it says."""

import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from service.core.error_rates import rows_needed
from service.core.points import PointState
from service.core.roles import ROLES, Permission
from tests.real_parts.documents import Document, run_watchgate

DOCUMENT: Final = Document("points.md")
CONFIG: Final = """
data_dir: var
upstreams: [{name: local, url: "http://127.0.0.1:8000"}]
models: [{name: llama, upstream: local, tier: 1}]
"""
ID: Final = re.compile(r"\bop_[A-Za-z0-9_-]{12}")
TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def comparable(text: str) -> str:
    """Take away what is another with each run, and how wide columns are."""
    return " ".join(ID.sub("ID", TIME.sub("TIME", text)).split())


def test_the_commands_of_the_document_print_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "watchgate.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOGNAME", "alice")
    real = "none yet"
    for step in DOCUMENT.steps():
        code, printed = run_watchgate(ID.sub(real, step.command))
        assert code == 0, step.command
        assert comparable(printed) == comparable(step.output), step.command
        real = next(iter(ID.findall(printed)))


def test_the_document_has_every_step_of_a_points_life() -> None:
    said = {shlex.split(step.command)[2] for step in DOCUMENT.steps()}
    assert said == {"propose", "promote", "list", "rollback", "retire"}


def test_the_document_says_who_may_do_what_and_how_many_rows_a_rate_needs() -> None:
    text = DOCUMENT.text
    proposers = ", ".join(f"`{role}`" for role in sorted(ROLES[Permission.PROPOSE_POINTS]))
    deciders = ", ".join(f"`{role}`" for role in sorted(ROLES[Permission.WRITE_POINTS]))
    assert proposers == "`admin`, `analyst`"
    assert deciders == "`admin`, `operator`"
    assert text.count("`analyst`, `admin` |") == 1
    assert text.count("`operator`, `admin` |") == 3
    for share in (0.01, 0.001, 0.0001):
        assert f"{rows_needed(share):,} for {share:.4f}".rstrip("0") in text
    assert all(f"`{state}`" in text for state in PointState)
