"""What the versions before wrote is read by this one: journal, store, backup, Kafka, local copy."""

import base64
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from scripts.example_events import schema_of_events
from service.cli import main
from service.core.callers import authenticate, digest_key
from service.core.directory import Scope, Standing
from service.core.screening import ENCRYPTED
from service.events import audit
from service.events.journal import Journal, JournalReader, Limits, find_exchange, read_topic
from service.events.kafka.partition import Partition
from service.events.log import Received, Record, Topic
from service.events.schema import Closed, to_event
from service.settings import load
from service.store import Store, load_snapshot, open_store
from service.store.alerts import list_alerts
from service.store.copy import LocalCopy, this_moment
from service.store.pepper_files import peppers_in
from service.store.schema import HEAD, READABLE_FROM, schema_of
from service.wiring.parts import own_journal
from service.workers.enforcer import Enforcer
from service.workers.items import read_items
from service.workers.loop import original_of
from tests.real_parts.versions import FROZEN, Frozen

pytestmark = pytest.mark.parametrize("version", FROZEN, ids=lambda it: it.name)


@pytest.fixture
def frozen(version: Path, tmp_path: Path) -> Frozen:
    return Frozen(version, tmp_path)


@pytest.fixture
def store(frozen: Frozen) -> Iterator[Store]:
    with closing(open_store(frozen.store_url)) as opened:
        yield opened


def records_of(frozen: Frozen) -> list[Received]:
    return [it for topic in Topic for it in read_topic(frozen.journals, topic)]


def described(received: Received) -> dict[str, Any]:
    record = received.record
    content = None if record.content is None else base64.b64encode(record.content).decode()
    return {
        "position": [*received.position],
        "kind": record.kind,
        "id": record.id,
        "content": content,
        "key_id": record.key_id,
    }


def watchgate(frozen: Frozen, *words: str) -> int:
    return main([*words, "--config", str(frozen.config)])


def test_its_journals_hold_what_it_wrote(frozen: Frozen) -> None:
    found = records_of(frozen)
    assert [described(it) for it in found] == frozen.manifest["records"]
    for one in (it.record for it in found):
        if one.topic is Topic.AUDIT:
            audit.to_event(one)
        elif one.topic is Topic.DEAD_LETTERS:
            assert original_of(one).body == b"{"
        else:
            to_event(one)


def test_what_was_said_can_be_scored_unless_it_is_encrypted(frozen: Frozen) -> None:
    records = [it.record for it in read_topic(frozen.journals, Topic.EXCHANGES)]
    said = [(it.text, [*it.unscanned]) for record in records for it in read_items(record)]
    hidden = ("", [ENCRYPTED])
    assert said[:4] == [
        ("How tall is the lighthouse?", []), ("As tall as twelve sheep.", []), hidden, hidden
    ]  # fmt: skip


def test_a_reader_goes_on_where_it_had_acknowledged(frozen: Frozen) -> None:
    reader = JournalReader(frozen.journals, "screener", [Topic.EXCHANGES])
    first = reader.poll(5.0)[0]
    reader.close()
    assert (first.record.id, first.record.kind) == ("ex-1", "closed")


def test_a_gateway_goes_on_with_its_journal_and_ends_what_it_left_open(
    frozen: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(frozen.folder)
    with own_journal(load(frozen.config), "gateway"):
        pass
    opened, closed = find_exchange(frozen.journals, "ex-3")
    event = to_event(closed.record)
    assert isinstance(event, Closed)
    assert event.outcome == "interrupted"
    assert opened.position < closed.position


def test_its_callers_are_known_and_those_it_shut_out_stay_out(frozen: Frozen, store: Store) -> None:
    snapshot, now = load_snapshot(store, 0.0), time.time()
    (pepper,) = peppers_in(frozen.data_dir)

    def found(name: str) -> Any:  # noqa: ANN401  (a caller, or why not)
        return authenticate(snapshot, digest_key(pepper, frozen.secret(name)), now)

    good, narrow = found("good"), found("narrow")
    assert (good.project, narrow.project) == ("search", "search")
    assert type(found("revoked")) is not type(good)
    rules = {key.id: key.rules for key in snapshot.keys.values()}
    assert rules[narrow.key_id].addresses == ("10.0.0.0/8",)
    assert snapshot.projects["search"].rules.max_tokens == 512
    assert snapshot.standings == {"loud": Standing.SUSPENDED}
    assert snapshot.limits[Scope.PROJECT, "search"][""].requests_per_min == 60
    assert [it.threshold for it in snapshot.points.values()] == [0.9]


def test_its_store_is_brought_up_to_date_and_says_who_may_use_it(
    frozen: Frozen, store: Store
) -> None:
    with store.read() as connection:
        found = schema_of(connection)
    assert found is not None
    assert (found.number, found.readable_from) == (HEAD, READABLE_FROM)
    assert frozen.manifest["store"]["schema"] >= READABLE_FROM, (
        "the version before may not use what this one makes of the store: see docs/upgrading.md"
    )


def test_its_audit_log_is_what_was_written(frozen: Frozen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(frozen.folder)
    assert watchgate(frozen, "audit", "verify") == 0


def test_a_verdict_that_had_its_effect_has_no_other(frozen: Frozen, store: Store) -> None:
    verdicts = [*read_topic(frozen.journals, Topic.VERDICTS)]
    Enforcer(store, clock=time.time).handle(verdicts)
    with store.read() as connection:
        assert [it.count for it in list_alerts(connection, resolved=True)] == [1]


def test_its_backup_can_be_restored(frozen: Frozen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(frozen.folder)
    (frozen.data_dir / "watchgate.db").unlink()
    assert watchgate(frozen, "store", "restore", str(frozen.backup)) == 0
    assert watchgate(frozen, "audit", "verify") == 0
    with closing(open_store(frozen.store_url)) as restored:
        assert len(load_snapshot(restored, 0.0).keys) == 3


def test_its_local_copy_is_taken_up(frozen: Frozen, store: Store) -> None:
    copy = LocalCopy(frozen.data_dir / "store-copy" / "gateway-0", peppers_in(frozen.data_dir))
    kept = copy.load(this_moment())
    assert kept is not None
    assert kept.snapshot.keys == load_snapshot(store, 0.0).keys


def test_its_messages_come_out_of_kafka_as_the_records_they_were(frozen: Frozen) -> None:
    partitions = {it: Partition(f"watchgate.{it}", 0, it) for it in Topic}
    found: list[Record] = []
    for offset, (topic, key, value, headers) in enumerate(frozen.messages()):
        received = partitions[topic].take(offset, key, value, headers)
        found += [received.record] if received is not None else []
    assert found == [it.record for it in records_of(frozen)]
    assert sum(1 for _ in frozen.messages()) > len(found), "none of them travels in parts"


def test_its_dead_letters_can_be_replayed(frozen: Frozen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(frozen.folder)
    assert watchgate(frozen, "dead-letters", "replay") == 0
    assert [it.record.body for it in read_topic(frozen.journals, Topic.EXCHANGES)][-1] == b"{"


def test_events_only_grew(frozen: Frozen) -> None:
    """No field or value is gone or means another type; what is new may be left out."""
    now = schema_of_events()
    for name, old in frozen.manifest["events"].items():
        new = now[name]
        assert set(new["required"]) <= set(old["required"]), f"{name} requires more than it did"
        for field, was in old["properties"].items():
            assert field in new["properties"], f"{name}.{field} is gone"
            is_ = dict(new["properties"][field])
            if "enum" in was:
                assert set(was["enum"]) <= set(is_["enum"]), f"{name}.{field} lost values"
                is_["enum"] = was["enum"]
            assert is_ == was, f"{name}.{field} is of another type, or has another default"


def test_a_journal_of_its_format_is_appended_to(frozen: Frozen) -> None:
    before = records_of(frozen)
    record = before[0].record
    limits = Limits(reserve_bytes=4096)
    with closing(Journal(frozen.journals / "gateway-0", limits=limits)) as journal:
        (position,) = journal.append_all([record])
    assert position not in {it.position for it in before}
    assert len(records_of(frozen)) == len(before) + 1
