"""`watchgate labels`: what is kept, what is refused and in which words, and the rows it exports."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from detectors.api import Part
from detectors.data import read_rows
from detectors.retraining.rows import RowFile, read
from service.cli import main
from service.events.journal import Journal, Limits
from service.events.log import Received
from service.store import open_store
from service.store.audit_list import Search, search_audit
from tests.unit.service.workers.screening_parts import (
    answer_content,
    chat_body,
    closed,
    opened,
    received,
)

SETTINGS = """
data_dir: var
upstreams: [{name: local, url: "http://127.0.0.1:9"}]
models: [{name: m, upstream: local, tier: 1}]
"""
KAFKA = 'event_log: {kind: kafka, bootstrap_servers: ["127.0.0.1:9"]}\n'
DAY = 86400.0


def id_of(number: int) -> str:
    return f"ex-0123456789abcdef{number:08x}"


WHOLE, SEALED, OPEN, LATE, NONE = map(id_of, range(1, 6))


def exchange(id_: str, day: float = 0.0, key_id: str | None = None) -> list[Received]:
    at = day * DAY + 1
    asked = received(opened(id_, at=at), chat_body(f"What is {id_}?"), key_id=key_id)
    ended = closed(id_, at=at + DAY, opened_at=at)
    return [asked, received(ended, answer_content("Fine."), key_id=key_id)]


class Cli:
    """Runs `watchgate labels WORDS` beside a journal of four exchanges."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.err = ""
        self._capsys = capsys
        (folder / "watchgate.yaml").write_text(SETTINGS)
        journal = Journal(folder / "var" / "journal" / "gateway-0", limits=Limits())
        records = [
            *exchange(WHOLE),
            *exchange(SEALED, key_id="k"),
            exchange(OPEN)[0],
            *exchange(LATE, day=5),
        ]
        journal.append_all([it.record for it in records])
        journal.close()

    def __call__(self, *words: str, code: int = 0) -> str:
        try:
            ended = main(["labels", *words])
        except SystemExit as error:  # of argparse
            ended = int(str(error.code))
        captured = self._capsys.readouterr()
        self.err = captured.err
        assert ended == code, captured.err
        return captured.out

    def set(self, id_: str, part: str, label: str, *more: str, code: int = 0) -> None:
        self("set", id_, "--part", part, "--label", label, *more, code=code)

    def json(self, *words: str) -> Any:  # noqa: ANN401  (whatever JSON holds)
        return json.loads(self(*words, "--json"))

    def exported(self, *words: str) -> list[dict[str, Any]]:
        self("export", "--output", "rows.jsonl", *words)
        lines = (self.folder / "rows.jsonl").read_text("utf-8").splitlines()
        return [json.loads(it) for it in lines]


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOGNAME", "alice")
    monkeypatch.delenv("WATCHGATE_ADMIN_URL", raising=False)
    return Cli(tmp_path, capsys)


def test_labels_are_set_listed_and_removed(cli: Cli) -> None:
    more = ("--category", "fraud", "--category", "cyber", "--note", "as ticket 4711 says")
    cli.set(WHOLE, "prompt", "misuse", *more)
    assert f"the prompt of {WHOLE} is misuse (cyber, fraud)" in cli.err
    cli.set(LATE, "answer", "benign")
    listed = cli.json("list")
    assert [(it["exchange_id"], it["by"]) for it in listed] == [
        (WHOLE, "cli:alice"),
        (LATE, "cli:alice"),
    ]
    assert listed[0]["at"].endswith("Z")
    assert "ref" not in listed[0]
    assert [it["exchange_id"] for it in cli.json("list", "--exchange", LATE)] == [LATE]
    table = cli("list", "--label", "misuse").splitlines()
    assert table[0].split()[:4] == ["EXCHANGE_ID", "PART", "LABEL", "CATEGORIES"]
    assert len(table) == 2
    assert cli.json("remove", WHOLE, "--part", "prompt")["note"] == "as ticket 4711 says"
    cli("remove", WHOLE, "--part", "prompt", code=1)
    assert "watchgate labels list shows all" in cli.err
    assert [it["exchange_id"] for it in cli.json("list")] == [LATE]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([NONE, "prompt", "benign"], 1, f"hold no exchange '{NONE}'"),
        ([OPEN, "answer", "benign"], 1, "has no answer yet"),
        (["4711", "prompt", "benign"], 1, "hold no exchange '4711'"),
        (["a/b", "prompt", "benign"], 2, "no id of an exchange"),
        ([WHOLE, "exchange", "benign"], 2, "choose from"),
        ([WHOLE, "prompt", "bad"], 2, "choose from"),
        ([WHOLE, "prompt", "misuse", "--category", "any"], 2, "choose from"),
        ([WHOLE, "prompt", "benign", "--category", "cyber"], 2, "is of no kind of misuse"),
        ([WHOLE, "prompt", "benign", "--note", "x" * 501], 2, "at most 500 characters"),
    ],
)
def test_what_is_no_label_of_a_recorded_exchange_is_refused(
    cli: Cli, words: list[str], code: int, said: str
) -> None:
    id_, part, label, *more = words
    cli.set(id_, part, label, *more, code=code)
    assert said in cli.err
    assert cli.json("list") == []


def test_over_kafka_any_exchange_is_taken_and_only_an_id_is_held_to_its_shape(cli: Cli) -> None:
    with (cli.folder / "watchgate.yaml").open("a") as settings:
        settings.write(KAFKA)
    cli.set(NONE, "prompt", "benign")
    cli.set("4711", "prompt", "benign", code=2)
    assert "24 hexadecimal digits" in cli.err
    assert [it["exchange_id"] for it in cli.json("list")] == [NONE]


def test_the_export_is_read_by_the_training_and_by_the_evaluation(cli: Cli) -> None:
    cli.set(WHOLE, "prompt", "misuse", "--category", "cyber")
    cli.set(WHOLE, "answer", "benign")
    rows = cli.exported()
    assert [(it["id"], it["label"], it.get("response")) for it in rows] == [
        (f"{WHOLE}/prompt/misuse", 1, None),
        (f"{WHOLE}/answer/benign", 0, "Fine."),
    ]
    assert rows[0] | {"source": "labels", "licence": "own", "categories": ["cyber"]} == rows[0]
    assert f"What is {WHOLE}?" in rows[0]["text"] == rows[1]["text"]
    file = cli.folder / "rows.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [it.parts for it in read_rows(file)] == [(Part.PROMPT,), (Part.ANSWER, Part.EXCHANGE)]
    found = read([RowFile(file)])
    assert [it.label for it in found.rows] == [1, 0]
    assert found.files[0].licences == ("own",)


def test_labels_without_a_text_are_counted_and_the_export_is_in_the_audit_log(cli: Cli) -> None:
    cli.set(WHOLE, "prompt", "benign")
    cli.set(SEALED, "answer", "benign")
    cli.set(OPEN, "prompt", "misuse")
    missing = {"encrypted": 1}
    told = cli.json("export", "--output", "rows.jsonl")
    assert told == {"file": "rows.jsonl", "rows": 2, "labels": 3, "missing": missing}
    assert "1 of 3 labels are of content that is encrypted" in cli.err
    store = open_store(f"sqlite:///{cli.folder}/var/watchgate.db")
    with store.read() as connection:
        ((_, entry),) = search_audit(connection, Search(action="label.export"), 10)
    store.close()
    assert (entry.actor, entry.object) == ("cli:alice", "labels")
    assert (entry.after["rows"], entry.after["missing"]) == (2, missing)


def test_a_stretch_has_the_exchanges_that_began_in_it(cli: Cli) -> None:
    for id_ in (WHOLE, LATE):
        cli.set(id_, "answer", "benign")
    early = cli.exported("--until", "1970-01-02")
    assert [it["id"] for it in early] == [f"{WHOLE}/answer/benign"]
    assert "1 of 2 labels have no record any more, or none between" in cli.err
    late = cli.exported("--since", "1970-01-02")
    assert [it["id"] for it in late] == [f"{LATE}/answer/benign"]


def test_some_of_the_labels_are_exported_by_part_and_by_what_they_say(cli: Cli) -> None:
    cli.set(WHOLE, "prompt", "misuse")
    cli.set(WHOLE, "answer", "benign")
    cli.set(LATE, "prompt", "benign")
    assert [it["id"] for it in cli.exported("--part", "prompt", "--label", "benign")] == [
        f"{LATE}/prompt/benign"
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--output", "rows.jsonl"], "1 of 1 labels are of content that is encrypted"),
        (["--output", "rows.jsonl", "--label", "misuse"], "there are no such labels"),
        (["--output", "nowhere/rows.jsonl"], "nowhere/rows.jsonl: No such file or directory"),
        (["--output", "rows.jsonl", "--source", "kafka"], "needs event_log.kind: kafka"),
        (
            ["--output", "rows.jsonl", "--since", "2026-11-02", "--until", "2026-11-01"],
            "is not after --since",
        ),
    ],
)
def test_an_export_that_would_hold_nothing_leaves_no_file(
    cli: Cli, words: list[str], said: str
) -> None:
    cli.set(SEALED, "prompt", "benign")
    cli("export", *words, code=1)
    assert said in cli.err
    assert not [it for it in cli.folder.iterdir() if "rows" in it.name]
