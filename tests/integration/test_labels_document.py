"""docs/labels.md, word for word: its commands are run, and print what it says."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from service.cli import main
from service.commands.labels_export import _WORDS
from service.core.labels import KINDS, Meaning
from service.core.roles import ROLES, Permission
from service.events.journal import Journal, Limits
from tests.unit.service.workers.screening_parts import (
    answer_content,
    chat_body,
    closed,
    opened,
    received,
)

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "labels.md"
TEXT: Final = DOCUMENT.read_text("utf-8")
CONFIG: Final = """
data_dir: var
upstreams: [{name: local, url: "http://127.0.0.1:8000"}]
models: [{name: llama, upstream: local, tier: 1}]
"""
IDS: Final = ("ex-0123456789abcdef00000001", "ex-0123456789abcdef00000002")
TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def steps() -> Iterator[tuple[str, str]]:
    """Yield each command of the document with what it says is printed."""
    for block in blocks("console"):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition("\n")
            yield command, output


def comparable(text: str) -> str:
    """Take away what is another with each run, and how wide columns are."""
    return " ".join(TIME.sub("TIME", text).split())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An installation that has recorded the document's exchanges."""
    (tmp_path / "watchgate.yaml").write_text(CONFIG)
    (tmp_path / "train.yaml").write_text(blocks("yaml")[0])
    journal = Journal(tmp_path / "var" / "journal" / "gateway-0", limits=Limits())
    for id_ in IDS:
        asked, said = chat_body(f"What is {id_}?"), answer_content("I cannot say.")
        records = [received(opened(id_), asked), received(closed(id_), said)]
        journal.append_all([it.record for it in records])
    journal.close()
    return tmp_path


def test_the_commands_of_the_document_print_what_it_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LOGNAME", "alice")
    for command, expected in steps():
        assert main(shlex.split(command)[1:]) == 0, command
        printed = capsys.readouterr()
        told, wanted = comparable(printed.out + printed.err), comparable(expected)
        if wanted.endswith("…"):
            assert wanted.removesuffix("…").strip() in told, command
        else:
            assert told == wanted, command
    assert main(["detectors", "train", "--config", "train.yaml"]) == 2
    assert "but 10 are needed" in capsys.readouterr().err


def test_the_document_shows_a_row_as_the_export_spells_it() -> None:
    (row,) = re.findall(r'^\{"id":.*\}$', TEXT, re.MULTILINE)
    assert list(re.findall(r'"(\w+)":', row)) == [
        "id", "text", "label", "source", "licence", "response",
    ]  # fmt: skip


def test_the_document_has_all_categories_and_reasons_and_who_may_label() -> None:
    assert ", ".join(f"`{it}`" for it in KINDS) in TEXT
    assert all(f"`{it}`" in TEXT for it in Meaning)
    assert all(f"| `{words}` |" in TEXT for words in _WORDS.values())
    roles = " and ".join(f"`{it}`" for it in sorted(ROLES[Permission.WRITE_LABELS], reverse=True))
    assert roles == "`analyst` and `admin`"
    assert f"{roles} label" in TEXT
