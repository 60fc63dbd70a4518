"""`watchgate points`: what it prints, what it measures, what it refuses and in which words."""

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from service.cli import main
from service.core.error_rates import rows_needed
from service.core.screening import Point
from service.store import load_snapshot, open_store

CONFIG = """
data_dir: var
upstreams: [{name: local, url: "http://127.0.0.1:8000"}]
models:
- {name: llama, upstream: local, tier: 1, screening: {answer: {mode: window}}}
operating_points:
- {detector: lexical, category: any, part: prompt, threshold: 0.97, action: page}
"""
NEW = ["--detector", "lexical", "--category", "any", "--part", "prompt", "--action", "block"]
WHY = ["--reason", "ticket 4711"]


class Cli:
    """Runs `watchgate points WORDS` in a folder with settings."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], template: Path) -> None:
        (folder / "var").mkdir()
        shutil.copy(template, folder / "var" / "watchgate.db")
        self.folder = folder
        self.err = ""
        self._capsys = capsys
        (folder / "watchgate.yaml").write_text(CONFIG)

    def __call__(self, *words: str, code: int = 0) -> str:
        ended = main(["points", *words])
        captured = self._capsys.readouterr()
        self.err = captured.err
        assert ended == code, captured.err
        return captured.out

    def json(self, *words: str) -> Any:  # noqa: ANN401  (whatever JSON holds)
        return json.loads(self(*words, "--json"))

    def applied(self) -> dict[str, Point]:
        """Return the points of the store that a gateway would apply."""
        store = open_store(f"sqlite:///{self.folder}/var/watchgate.db")
        points = dict(load_snapshot(store, 0).points)
        store.close()
        return points

    def rows(self, name: str, texts: Sequence[str], **more: str) -> str:
        """Write rows of these texts, and return the file's name."""
        lines = [json.dumps({"id": f"r{n}", "text": text, **more}) for n, text in enumerate(texts)]
        (self.folder / name).write_text("\n".join(lines) + "\n")
        return name


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "watchgate.db"
    open_store(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def cli(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    template: Path,
) -> Cli:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WATCHGATE_ADMIN_URL", raising=False)
    return Cli(tmp_path, capsys, template)


def test_a_point_is_proposed_promoted_rolled_back_and_retired(cli: Cli) -> None:
    made = cli.json("propose", *NEW, "--threshold", "0.9", "--expires", "30d", *WHY)
    id_ = made["id"]
    assert (made["version"], made["state"], made["applies"]) == (1, "proposed", False)
    assert made["expires_at"].endswith("Z")
    assert f"version 1 of {id_} is proposed" in cli.err
    assert cli.applied() == {}
    cli("promote", id_, *WHY)
    assert f"version 1 of {id_} applies: block" in cli.err
    cli("propose", id_, "--threshold", "0.8", "--never-expires", *WHY)
    cli("promote", id_, "--version", "2", *WHY)
    assert (cli.applied()[id_].threshold, cli.applied()[id_].expires_at) == (0.8, math.inf)
    cli("rollback", id_, "--version", "2", *WHY)
    assert cli.applied()[id_].version == 1
    cli("rollback", id_, "--version", "2", *WHY, code=1)
    assert "is at version 1 by now, and not 2" in cli.err
    cli("retire", id_, *WHY)
    assert cli.applied() == {}
    steps = [it["step"] for it in cli.json("show", id_)["changes"]]
    assert steps == ["propose", "promote", "propose", "promote", "rollback", "retire"]


def test_points_are_listed_with_those_of_the_settings(cli: Cli) -> None:
    id_ = cli.json("propose", *NEW, "--threshold", "0.9", "--models", "llama", *WHY)["id"]
    listed = cli.json("list")
    assert [it["id"] for it in listed] == ["lexical/any/prompt/page", id_]
    assert [it["source"] for it in listed] == ["settings", "store"]
    assert "ref" not in listed[0]
    assert [it["id"] for it in cli.json("list", "--state", "proposed")] == [id_]
    table = cli("list").splitlines()
    assert table[0].split()[:3] == ["ID", "VERSION", "STATE"]
    assert len(table) == 3


def test_a_threshold_is_found_by_benign_rows_and_told_with_its_error_rates(cli: Cli) -> None:
    share = 0.05
    texts = [f"A recipe for bread number {n} with flour" for n in range(rows_needed(share) + 20)]
    benign = cli.rows("benign.jsonl", texts)
    misuse = cli.rows("misuse.jsonl", ["stand-in for misuse", "another stand-in"])
    words = ["--fpr", str(share), "--benign", benign, "--misuse", misuse]
    made = cli.json("propose", *NEW, *words, *WHY)
    flagged, recall = made["measured"]["flagged"], made["measured"]["recall"]
    assert flagged["total"] == len(texts)
    assert flagged["count"] <= share * len(texts)
    assert (recall["total"], made["measured"]["detector_version"][:2]) == (2, "1-")
    assert f"{flagged['count']} of {len(texts)} benign rows" in cli.err
    below = math.nextafter(made["threshold"], 0)
    again = cli.json("propose", made["id"], "--threshold", str(below), "--benign", benign, *WHY)
    assert again["measured"]["flagged"]["count"] > share * len(texts)
    assert again["measured"]["recall"] is None


def test_too_few_rows_are_refused_with_how_many_are_needed(cli: Cli) -> None:
    benign = cli.rows("benign.jsonl", ["a harmless text"] * 10)
    cli("propose", *NEW, "--fpr", "0.001", "--benign", benign, *WHY, code=2)
    assert "10 benign rows are too few to carry a rate of 0.001: 3688 are needed" in cli.err
    assert cli.json("list", "--state", "proposed") == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2: expected a row {id, text} in JSON"),
        ('{"id": 1}', "line 2: expected a row {id, text} in JSON"),
        ('{"id": "r0", "text": "x"}', "line 2: an earlier row has this id"),
        ("\xff", "line 2: expected a row {id, text} in JSON"),
    ],
)
def test_a_line_that_is_no_row_is_named_and_not_quoted(cli: Cli, line: str, words: str) -> None:
    benign = cli.rows("benign.jsonl", ["a harmless text"])
    with (cli.folder / benign).open("a", encoding="latin-1") as file:
        file.write(line + "\n")
    cli("propose", *NEW, "--fpr", "0.5", "--benign", benign, *WHY, code=2)
    assert f"benign.jsonl, {words}" in cli.err


def test_rows_of_answers_need_responses(cli: Cli) -> None:
    new = [*NEW[:5], "answer", *NEW[6:]]
    words = ["--threshold", "0.5", "--benign"]
    benign = cli.rows("without.jsonl", ["a question"])
    cli("propose", *new, *words, benign, *WHY, code=2)
    assert "without.jsonl, line 1: expected a row {id, text, response} in JSON" in cli.err
    benign = cli.rows("with.jsonl", ["a question"], response="a harmless answer")
    made = cli.json("propose", *new, *words, benign, *WHY)
    assert made["measured"]["flagged"]["total"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--threshold", "0.9"], "--detector: a new point needs one"),
        (NEW, "--threshold or --fpr: a new point needs one"),
        ([*NEW, "--fpr", "0.1"], "--benign: --fpr needs rows"),
        ([*NEW, "--threshold", "1", "--misuse", "x"], "--benign: --misuse alone says nothing"),
        ([*NEW, "--threshold", "1", "--benign", "gone"], "gone: cannot be read: No such file"),
        (["lexical/any/prompt/page"], "is no id of the store: points of the settings stand there"),
        (["op_1", "--threshold", "1"], "no operating point of the store has the id 'op_1'"),
        ([*NEW, "--threshold", "1", "--tier", "3"], "no such model of tier 3"),
        (["--detector", "x", *NEW[2:], "--fpr", "0.1", "--benign", "b"], "there are: lexical"),
    ],
)
def test_what_makes_no_point_is_refused_in_words(cli: Cli, words: list[str], said: str) -> None:
    cli.rows("b", ["a harmless text"])
    cli("propose", *words, *WHY, code=1 if words[0] == "op_1" else 2)
    assert said in cli.err


def test_a_version_keeps_what_the_point_is_for(cli: Cli) -> None:
    id_ = cli.json("propose", *NEW, "--threshold", "0.9", *WHY)["id"]
    cli("propose", id_, "--tier", "1", *WHY, code=2)
    assert "--tier: a version keeps what the point is for" in cli.err


@pytest.mark.parametrize("step", ["promote", "rollback", "retire", "propose"])
def test_every_step_needs_a_reason(cli: Cli, step: str) -> None:
    cli(step, "op_1", code=2)
    assert "--reason: say why" in cli.err


@pytest.mark.parametrize(
    "words", [["--threshold", "1.1"], ["--threshold", "nan"], ["--fpr", "0"], ["--fpr", "x"]]
)
def test_numbers_that_are_no_shares_are_refused(cli: Cli, words: list[str]) -> None:
    with pytest.raises(SystemExit):
        cli("propose", *NEW, *words, *WHY)
