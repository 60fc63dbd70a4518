"""docs/retraining.md word for word: its commands are run, and print what it says."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from detectors import lexical
from detectors.api import Part
from detectors.retraining.adapting import LEAST_TEXTS, PRIORS
from detectors.retraining.calibrating import ENOUGH_FOR_ISOTONIC, ENOUGH_FOR_PLATT
from detectors.retraining.config import KEYS
from service.events.journal import Journal, Limits
from service.settings import load
from service.wiring.detectors import detectors_of
from tests.real_parts.documents import DOCS, LEFT_OUT, Document, run_watchgate
from tests.unit.service.workers.screening_parts import (
    answer_content,
    chat_body,
    closed,
    opened,
    received,
)

DOCUMENT: Final = Document("retraining.md")
ID: Final = re.compile(r"\bop_[A-Za-z0-9_-]{12}")
CHANGES: Final = re.compile(r"[0-9a-f]{64}|\d-[0-9a-f]{12}(?:\.\d)?|[-+]?\d[\d.,:%TZ-]*|\binf\b")
"""What is another with each model, or each day: digests, versions, numbers."""
FIRST_DAY: Final = 1_795_000_000.0
DAY_S: Final = 86_400.0


def comparable(text: str) -> str:
    """Take away what is another with each run, and how wide columns are."""
    return re.sub(r"[ \n-]+", " ", CHANGES.sub("N", ID.sub("ID", text)))


def hold(printed: str, expected: str, command: str) -> None:
    """Hold what is printed to the document, which may leave stretches out."""
    rest = comparable(printed)
    for stretch in filter(str.strip, expected.split(LEFT_OUT)):
        wanted = comparable(stretch).strip()
        assert wanted in rest, f"{command}\nprints no:\n{stretch}\nbut:\n{printed}"
        rest = rest.partition(wanted)[2]


def record_traffic(folder: Path) -> None:
    """Let an installation have served what the document's stand-ins ask, a few days long."""
    journal = Journal(folder / "var" / "journal" / "gateway-0", limits=Limits())
    lines = [*open_rows(folder / "benign.jsonl")[:60], *open_rows(folder / "misuse.jsonl")[:12]]
    for number, text in enumerate(lines):
        id_, at = f"ex-{number:020d}", FIRST_DAY + number * DAY_S / 24
        journal.append_all([
            received(opened(id_, at=at), chat_body(text)).record,
            received(closed(id_, at=at + 1, opened_at=at), answer_content("Fine.")).record,
        ])  # fmt: skip
    journal.close()


def open_rows(path: Path) -> list[str]:
    return [json.loads(line)["text"] for line in path.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the reader of the document has a checkout, and works."""
    folder = tmp_path_factory.mktemp("walk")
    shutil.copytree(DOCS / "examples", folder / "docs" / "examples")
    train, settings, *_ = DOCUMENT.blocks("yaml")
    (folder / "train.yaml").write_text(train)
    head = 'data_dir: var\nupstreams: [{name: local, url: "http://127.0.0.1:8000"}]\n'
    models = "models: [{name: tutor, upstream: local, tier: 1}]\n"
    (folder / "watchgate.yaml").write_text(head + models + settings)
    return folder


def run(command: str, folder: Path) -> str:
    program = command.partition(" ")[0]
    if program == "watchgate":
        code, printed = run_watchgate(command)
        assert code == 0, command
        return printed
    assert program in ("python", "head"), command
    shell = f"{sys.executable} {command.partition(' ')[2]}" if program == "python" else command
    return subprocess.run(  # noqa: S602 - commands of our own document
        shell, shell=True, cwd=folder, check=True, capture_output=True, text=True
    ).stdout


def test_the_commands_of_the_document_print_what_it_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LOGNAME", "alice")
    real = "none yet"
    for step in DOCUMENT.steps():
        command = step.command
        if command.startswith("watchgate backtest"):
            record_traffic(folder)
        if command.startswith("watchgate points promote"):  # the reader took the shadow away
            settings = folder / "watchgate.yaml"
            settings.write_text(settings.read_text().replace(", shadow: true", ""))
        printed = run(ID.sub(real, command), folder)
        hold(printed, step.output, command)
        real = next(iter(ID.findall(printed)), real)
    it_is_a_detector_of_the_settings(folder)


def it_is_a_detector_of_the_settings(folder: Path) -> None:
    found = detectors_of(load(folder / "watchgate.yaml"))
    mine = found.factories["lexical-acme"]()

    assert "lexical-acme" not in found.shadows
    assert mine.parts == frozenset(Part)
    assert mine.version == lexical.load(folder / "lexical-acme").version
    assert mine.version != lexical.load().version
    card = (folder / "lexical-acme" / "card.md").read_text("utf-8")
    assert "labelled.jsonl" in card
    assert "essay" not in card, "a card holds no text of a row"


def test_the_document_has_every_step_of_the_way() -> None:
    said = {tuple(shlex.split(step.command)[1:3]) for step in DOCUMENT.steps()}

    assert {
        ("detectors", "train"), ("detectors", "evaluate"), ("points", "propose"),
        ("points", "promote"), ("detectors", "calibrate"),
    } <= said  # fmt: skip
    assert any(step.command.startswith("watchgate backtest") for step in DOCUMENT.steps())


def test_the_document_tells_every_key_and_how_many_rows_it_takes() -> None:
    table = DOCUMENT.text.partition("| key |")[2].partition("\n\n")[0]
    keys = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))

    assert keys == set(KEYS)
    assert f"{LEAST_TEXTS} different texts of each label" in DOCUMENT.text
    assert f"{ENOUGH_FOR_PLATT} rows of each label" in DOCUMENT.text
    assert f"{ENOUGH_FOR_ISOTONIC} rows of each label" in DOCUMENT.text
    assert ", ".join(f"{it:g}" for it in PRIORS[1:]) in DOCUMENT.text
