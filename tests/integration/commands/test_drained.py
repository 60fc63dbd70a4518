"""`watchgate drained`, beside a gateway's journal and a shipper that are real."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from service.cli import main
from service.events.journal import Journal, JournalReader, Limits, leftovers, take_slot
from service.events.log import Durability, Received, Record, Topic
from service.events.shipper import Shipper

CONFIG = """
data_dir: var
upstreams: [{name: local, url: "http://127.0.0.1:8000"}]
models: [{name: m, upstream: local, tier: 1}]
event_log: {kind: kafka, bootstrap_servers: ["127.0.0.1:9"]}
"""
GROUP = "shipper"


class Taker:
    """Stands where Kafka does, and takes everything."""

    def ship(self, _records: Sequence[Received]) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "watchgate.yaml"
    file.write_text(CONFIG)
    return file


def drained(config: Path, *words: str) -> int:
    return main(["drained", "--config", str(config), *words])


def record(name: str) -> Record:
    return Record(Topic.EXCHANGES, b"acme", "opened", name, b"{}")


def write(root: Path, count: int) -> None:
    slot = take_slot(root, "gateway", lambda _orphan: None)
    journal = Journal(slot.folder, limits=Limits(), groups=[GROUP])
    for number in range(count):
        journal.append(record(f"e{number}"), Durability.SYNCED)
    journal.close()
    slot.release()


def ship_all(root: Path) -> None:
    reader = JournalReader(root, GROUP, list(Topic))
    stop = threading.Event()
    thread = threading.Thread(target=Shipper(reader, Taker(), poll_timeout_s=0.05).run, args=[stop])
    thread.start()
    while leftovers(root, [GROUP]):
        stop.wait(0.01)
    stop.set()
    thread.join()
    reader.close()


def test_a_folder_where_nothing_was_written_is_drained(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert drained(config) == 0
    assert "nothing was written yet" in capsys.readouterr().err


def test_what_kafka_has_not_acknowledged_keeps_a_folder(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(config.parent / "var" / "journal", 3)
    assert drained(config, "--wait", "1s") == 1
    said = capsys.readouterr().err
    assert "3 records of gateway-0 are not known to be read by shipper" in said


def test_a_process_that_writes_keeps_a_folder_though_all_is_shipped(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = config.parent / "var" / "journal"
    write(root, 3)
    ship_all(root)
    slot = take_slot(root, "gateway", lambda _orphan: None)
    try:
        assert drained(config) == 1
    finally:
        slot.release()
    assert "a process writes gateway-0" in capsys.readouterr().err
    assert drained(config) == 0
    assert "is drained" in capsys.readouterr().err


def test_it_waits_until_the_shipper_is_done(config: Path) -> None:
    root = config.parent / "var" / "journal"
    write(root, 200)
    shipping = threading.Thread(target=ship_all, args=[root])
    shipping.start()
    assert drained(config, "--wait", "1m") == 0
    shipping.join()


def test_a_look_leaves_every_slot_to_whoever_starts(config: Path) -> None:
    root = config.parent / "var" / "journal"
    write(root, 1)
    assert drained(config) == 1
    slot = take_slot(root, "gateway", lambda _orphan: None)
    assert slot.folder.name == "gateway-0"
    slot.release()
