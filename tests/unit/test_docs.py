"""Documents say what the code says, and name only what exists."""

import math
import re
from pathlib import Path

import pytest

from scripts.docs_tables import MISSING
from scripts.make_docs import differs, made_documents, render
from service.settings import Settings, load

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MADE = {
    "audit.md", "commands.md", "errors.md", "events.md", "metrics.md", "settings.md", "surfaces.md",
    "tiers.md",
}  # fmt: skip


def by_name(path: Path) -> str:
    return path.name


def test_settings_metrics_errors_events_tiers_and_commands_are_documented() -> None:
    assert {document.name for document in made_documents()} >= MADE


@pytest.mark.parametrize("document", made_documents(), ids=by_name)
def test_a_document_says_what_the_code_says(document: Path) -> None:
    assert not differs(document), "run: python -m scripts.make_docs"


@pytest.mark.parametrize("document", made_documents(), ids=by_name)
def test_every_row_has_its_words(document: Path) -> None:
    assert MISSING not in document.read_text(encoding="utf-8")


BLOCK = "<!-- made: {} -->\n{}\n<!-- /made -->"


def test_a_code_that_the_document_does_not_know_appears_without_words() -> None:
    made = render(BLOCK.format("errors", ""))
    assert "| `model_not_found` | 404 |" in made
    assert MISSING in made


def test_words_are_kept_and_facts_are_not() -> None:
    stale = "| `model_not_found` | 999 | `x` | never | Ask again |"
    made = render(BLOCK.format("errors", stale))
    [row] = [line for line in made.splitlines() if "`model_not_found`" in line]
    assert row.startswith("| `model_not_found` | 404 |")
    assert row.endswith("| Ask again |")


def test_a_row_of_two_cells_keeps_its_words() -> None:
    made = render(BLOCK.format("outcomes", "| `completed` | is whole |"))
    assert "| `completed` | is whole |" in made


def test_a_table_that_is_made_twice_is_the_same() -> None:
    once = render(BLOCK.format("settings", ""))
    assert render(once) == once


def test_the_example_of_the_settings_loads_and_can_be_served() -> None:
    settings = load(ROOT / "watchgate.example.yaml")
    assert [model.tier for model in settings.models] == [1]
    assert {point.action for point in settings.operating_points} >= {"page"}


def test_the_points_of_the_example_are_those_of_the_card() -> None:
    card = (ROOT / "detectors/models/lexical/card.md").read_text(encoding="utf-8")
    prompts = card.partition("## Quality on prompts")[2]
    flags = dict(re.findall(r"(0\.\d+) flags (1%|0\.1%) of the benign rows", prompts)[:2])
    of_rate = {rate: math.ceil(float(threshold) * 100) / 100 for threshold, rate in flags.items()}
    points = load(ROOT / "watchgate.example.yaml").operating_points
    assert {it.action: it.threshold for it in points} == {
        "page": of_rate["0.1%"],
        "case": of_rate["1%"],
    }


def test_for_every_setting_it_is_told_what_has_to_be_restarted() -> None:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (`.*) \| .*$", text.partition("| changed |")[2].partition("\n\n")[0], re.MULTILINE
    )
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    assert named == set(Settings.model_fields)


def links_of(document: Path) -> list[Path]:
    """Return the files that a document links to."""
    text = document.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    return [document.parent / it for it in targets if not it.startswith(("http:", "https:"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=by_name)
def test_links_lead_somewhere(document: Path) -> None:
    assert [str(link) for link in links_of(document) if not link.exists()] == []


PATHS = re.compile(
    r"`((?:service|detectors|scripts|tests|load_tests|requirements|docs)/[\w/.-]*\w)`"
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=by_name)
def test_files_that_a_document_names_exist(document: Path) -> None:
    named = PATHS.findall(document.read_text(encoding="utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []


TARGETS = re.compile(r"`make ([a-z]+)|^\$? ?make ([a-z]+)", re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=by_name)
def test_make_targets_that_a_document_names_exist(document: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = {a or b for a, b in TARGETS.findall(document.read_text(encoding="utf-8"))}
    assert [it for it in sorted(named) if not re.search(rf"^{it}:", makefile, re.MULTILINE)] == []
