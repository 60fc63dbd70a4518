import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from service.cli import main
from service.events.journal import Journal, Limits, read_topic
from service.events.log import Position, Received, Record, Topic
from service.workers.loop import dead_letter

SETTINGS = """
data_dir: var
upstreams: [{name: local, url: "http://127.0.0.1:9"}]
models: [{name: m, upstream: local, tier: 1}]
"""
RECORD = Record(Topic.EXCHANGES, b"acme", "opened", "ex-1", b"{\xff", content=b"\x00\x01")
HERE = Position("gateway-0", 1, 7)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "watchgate.yaml").write_text(SETTINGS)
    return tmp_path


@pytest.fixture
def journal(folder: Path) -> Iterator[Journal]:
    one = Journal(folder / "var" / "journal" / "screener-0", limits=Limits())
    yield one
    one.close()


def letter(record: Record = RECORD, reason: str = "undecodable") -> Record:
    return dead_letter(Received(record, HERE), "screener", reason, 1_000_000.0)


def run(folder: Path, *arguments: str) -> int:
    return main(["dead-letters", *arguments, "--config", str(folder / "watchgate.yaml")])


def replayed(folder: Path) -> list[Record]:
    return [one.record for one in read_topic(folder / "var" / "journal", Topic.EXCHANGES)]


def test_letters_are_listed_with_reason_and_position(
    folder: Path, journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    journal.append_all([letter()])
    assert run(folder, "list", "--json") == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry == {
        "at": "1970-01-12T13:46:40Z",
        "group": "screener",
        "reason": "undecodable",
        "topic": "exchanges",
        "id": "ex-1",
        "log": "gateway-0",
        "part": 1,
        "offset": 7,
    }
    assert run(folder, "list") == 0
    assert "undecodable" in capsys.readouterr().out


def test_a_replay_appends_the_records_byte_by_byte_and_each_once(
    folder: Path, journal: Journal
) -> None:
    other = replace(RECORD, id="ex-2", body=b"x" * 100)
    journal.append_all([letter(), letter(), letter(other)])
    assert run(folder, "replay") == 0
    assert replayed(folder) == [RECORD, other]


def test_a_replay_may_be_of_one_reason_alone(folder: Path, journal: Journal) -> None:
    other = replace(RECORD, id="ex-2")
    journal.append_all([letter(), letter(other, "handler_failed")])
    assert run(folder, "replay", "--reason", "handler_failed") == 0
    assert replayed(folder) == [other]


def test_a_letter_that_cannot_be_read_is_left_out_and_told(
    folder: Path, journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    journal.append_all([replace(letter(), content=b"nothing"), letter()])
    assert run(folder, "replay") == 1
    assert replayed(folder) == [RECORD]
    assert "1 dead letters cannot be read" in capsys.readouterr().err


def test_without_letters_nothing_happens(folder: Path) -> None:
    assert run(folder, "list", "--json") == 0
    assert run(folder, "replay") == 0
    assert replayed(folder) == []
