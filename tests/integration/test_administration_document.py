"""docs/administration.md, word for word: its commands are run, and print what it says."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.real_parts.documents import Document, run_watchgate

DOCUMENT = Document("administration.md")
CONFIG = """
data_dir: var
upstreams: [{name: local, url: "http://127.0.0.1:8000"}]
models: [{name: llama, upstream: local, tier: 1}]
"""
ID = re.compile(r"\b(?:key|sva|adm)_[A-Za-z0-9_-]{12}")
CHANGING = [
    (re.compile(r"(sk-wg-|wg-admin-)[A-Za-z0-9_-]{6,43}…?"), r"\1…"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "TIME"),
    (re.compile(r"[A-Za-z0-9_-]+…"), "…"),
]


def comparable(text: str) -> str:
    """Take away what is another with each run, and how wide columns are."""
    for pattern, constant in CHANGING:
        text = pattern.sub(constant, text)
    return " ".join(ID.sub("ID", text).split())


def with_ids(command: str, real: Mapping[str, str]) -> str:
    """Put the ids of this run in place of those that the document has."""
    return ID.sub(lambda found: real[found[0]], command)


def test_the_document_has_the_commands_that_an_operator_needs() -> None:
    said = [" ".join(shlex.split(step.command)[1:3]) for step in DOCUMENT.steps()]
    needed = [
        "orgs create", "projects create", "limits set", "keys create", "keys rotate", "audit list",
        "keys revoke", "accounts suspend", "admin bootstrap", "tokens create",
    ]  # fmt: skip
    assert set(needed) <= set(said)


def test_the_commands_of_the_document_print_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "watchgate.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOGNAME", "alice")
    real: dict[str, str] = {}
    for step in DOCUMENT.steps():
        code, told = run_watchgate(with_ids(step.command, real))
        assert code == 0, step.command
        assert comparable(told) == comparable(step.output), step.command
        real |= dict(zip(ID.findall(step.output), ID.findall(told), strict=True))
    assert {it.partition("_")[0] for it in real} == {"key", "adm"}
