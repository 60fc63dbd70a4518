"""Every alert has a runbook, and what runbooks name exists."""

import json
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from service.core.audit import Action
from tests.deploy.rule_cases import ROOT, RULE_FILES, entries_of, rules_of
from tests.deploy.test_rules import ALERTING, NOT_OURS, made_names
from tests.real_parts.debian import debian_program

FOLDER: Final = ROOT / "docs/runbooks"
INDEX: Final = FOLDER / "index.md"
RUNBOOKS: Final = sorted(path for path in FOLDER.glob("*.md") if path != INDEX)
SECTIONS: Final = ["What it means", "First", "Find the cause", "Fix it"]
RECORDED: Final = {it["record"] for file in RULE_FILES for it in entries_of(file) if "record" in it}


def by_name(path: Path) -> str:
    return path.stem


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def code_of(path: Path) -> list[str]:
    """Return what stands as code in a page: blocks, and words between backticks on one line."""
    text = text_of(path)
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    spans = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [" ".join(code.split()) for code in (*blocks, *spans)]


def expressions_of(path: Path) -> list[str]:
    """Return the queries of a page."""
    named = re.compile(r"\b(watchgate_|watchgate:|vllm:)")
    return [code for code in code_of(path) if named.search(code) and not code.startswith("curl ")]


def commands() -> dict[str, set[str]]:
    """Return each command with its options, as docs/commands.md has them."""
    found: dict[str, set[str]] = {}
    for part in re.split(r"^## ", text_of(ROOT / "docs/commands.md"), flags=re.MULTILINE)[1:]:
        heading = re.match(r"`watchgate ([a-z -]+)`", part)
        if heading:
            rows = "\n".join(line for line in part.splitlines() if line.startswith("| `"))
            found[heading[1]] = set(re.findall(r"--[a-z-]+", rows))
    return found


COMMANDS: Final = commands()


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS} == {rule.alert for rule in ALERTING}


def test_the_index_names_every_alert_with_how_grave_it_is() -> None:
    row = re.compile(r"^\| \[(\w+)\]\(\1\.md\) \| ([a-z ]+) \|", re.MULTILINE)
    listed = dict(row.findall(text_of(INDEX)))
    graveness: dict[str, set[str]] = {}
    for file in RULE_FILES:
        for rule in rules_of(file):
            graveness.setdefault(rule.alert, set()).add(rule.labels["severity"])
    assert {alert: set(told.split(" or ")) for alert, told in listed.items()} == graveness


@pytest.mark.parametrize("path", RUNBOOKS, ids=by_name)
def test_a_runbook_says_what_it_means_what_to_do_and_which_rule_it_is(path: Path) -> None:
    text = text_of(path)
    assert text.startswith(f"# {path.stem}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    (file,) = {rule.file for rule in ALERTING if rule.alert == path.stem}
    assert f"`{file.relative_to(ROOT)}`" in text


@pytest.mark.parametrize("path", [*RUNBOOKS, INDEX], ids=by_name)
def test_links_of_a_runbook_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)", text_of(path)):
        assert (path.parent / link).exists(), link


@pytest.mark.parametrize("path", RUNBOOKS, ids=by_name)
def test_commands_that_a_runbook_names_exist(path: Path) -> None:
    for code in code_of(path):
        if not code.startswith("watchgate "):
            continue
        words = code.removeprefix("watchgate ")
        command = next(
            (
                it
                for it in sorted(COMMANDS, key=len, reverse=True)
                if f"{words} ".startswith(f"{it} ")
            ),
            None,
        )
        assert command is not None, code
        assert set(re.findall(r"--[a-z-]+", words)) <= COMMANDS[command], code


@pytest.mark.parametrize("path", RUNBOOKS, ids=by_name)
def test_metrics_that_a_runbook_names_exist(path: Path) -> None:
    known = made_names() | NOT_OURS | RECORDED
    for code in expressions_of(path):
        named = set(re.findall(r"\b(?:watchgate_|watchgate:|vllm:)[\w:]+", code))
        assert named <= known, code


def test_queries_of_runbooks_can_be_read_by_prometheus(tmp_path: Path) -> None:
    queries = sorted({code for path in RUNBOOKS for code in expressions_of(path)})
    rules = [{"record": f"query:{n}", "expr": query} for n, query in enumerate(queries)]
    file = tmp_path / "queries.json"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    promtool = debian_program("prometheus", "promtool")
    command = [str(promtool), "check", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


SETTINGS: Final = set(
    re.findall(r"^\| `([\w.\[\]]+)` \|", text_of(ROOT / "docs/settings.md"), re.MULTILINE)
)
SECTIONS_OF_SETTINGS: Final = {re.split(r"[.\[]", name)[0] for name in SETTINGS}


@pytest.mark.parametrize("path", RUNBOOKS, ids=by_name)
def test_settings_that_a_runbook_names_exist(path: Path) -> None:
    for code in code_of(path):
        section, _, rest = code.partition(".")
        if code in set(Action):
            continue
        if section.removesuffix("[]") in SECTIONS_OF_SETTINGS and re.fullmatch(r"[\w.\[\]]+", rest):
            assert code in SETTINGS or any(it.startswith(f"{code}.") for it in SETTINGS), code
