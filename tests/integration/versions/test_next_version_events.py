"""What the version after this one writes into the event log: read, or counted and kept whole.

The next version is made up here: each struct has one more field, and there is one kind more.
"""

import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from msgspec import structs

from scripts.example_events import EVENTS, example, record_of
from service.cli import main
from service.errors import BadRecord, JournalBroken
from service.events import audit, schema
from service.events.journal import Journal, Limits, read_topic
from service.events.journal.frames import Header
from service.events.journal.reader import JournalReader
from service.events.journal.segment import segment_path
from service.events.kafka import wire
from service.events.log import Position, Received, Record, Topic
from service.settings import load
from service.wiring.parts import own_journal
from service.workers.items import Item, read_items
from service.workers.loop import Loop, dead_letter, original_of
from tests.real_parts.versions import ADDED, FROZEN, Frozen, more_in_body

LIMITS: Final = Limits(reserve_bytes=4096)
PROMPT: Final = b'{"messages":[{"role":"user","content":"How tall is the lighthouse?"}]}'
UNKNOWN: Final = Record(
    Topic.EXCHANGES, b"search", ADDED, "ex-8", b'{"kind":"of_the_next_version","at":1}', b"\x00\xff"
)


@pytest.fixture
def frozen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Frozen:
    """An installation of this version or the last, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return Frozen(FROZEN[-1], tmp_path)


def later(record: Record) -> Record:
    """Return a record as the next version would write it."""
    return structs.replace(record, body=more_in_body(record.body))


@pytest.mark.parametrize("kind", EVENTS)
def test_fields_that_are_not_known_change_nothing_in_an_event(kind: type[Any]) -> None:
    event = example(kind)
    record = later(record_of(event))
    assert ADDED.encode() in record.body
    read = audit.to_event if record.topic is Topic.AUDIT else schema.to_event
    assert read(record) == event


@pytest.mark.parametrize("read", [schema.to_event, audit.to_event])
@pytest.mark.parametrize("body", [UNKNOWN.body, b'{"kind":"opened","v":2,"at":"another type"}'])
def test_a_kind_or_version_that_is_not_known_is_told_from_what_is_damaged(
    read: Callable[[Record], object], body: bytes
) -> None:
    with pytest.raises(BadRecord) as told:
        read(structs.replace(UNKNOWN, body=body))
    assert told.value.reason == "version"


class Wanted:
    """A handler that reads what it is given, as the screener does."""

    transient: tuple[type[Exception], ...] = ()

    def __init__(self) -> None:
        self.items: list[Item] = []

    def handle(self, batch: Sequence[Received]) -> None:
        self.items += [item for it in batch for item in read_items(it.record)]


class Counted:
    """Counts what is put aside, and ends the loop once nothing is left."""

    def __init__(self, stop: threading.Event) -> None:
        self.reasons: list[str] = []
        self._stop = stop

    def on_turn(self, done: Sequence[Received]) -> None:
        if not done:
            self._stop.set()

    def on_dead_letter(self, _topic: Topic, reason: str) -> None:
        self.reasons.append(reason)

    def on_pause(self, error: Exception) -> None:
        raise error


def test_a_worker_passes_what_it_does_not_know_counts_it_and_keeps_it_whole(
    frozen: Frozen,
) -> None:
    opened = later(record_of(example(schema.Opened, exchange_id="ex-7", surface="chat"), PROMPT))
    root = frozen.journals
    with closing(Journal(root / "gateway-0", limits=LIMITS)) as journal:
        journal.append_all([UNKNOWN, opened])
    stop, wanted = threading.Event(), Wanted()
    counted = Counted(stop)
    reader = JournalReader(root, "screener", [Topic.EXCHANGES])
    with closing(reader), closing(Journal(root / "screener-0", limits=LIMITS)) as aside:
        Loop(
            group="screener", reader=reader, handler=wanted, dead_letters=aside, watcher=counted,
            clock=time.time,
        ).run(stop)  # fmt: skip
    assert counted.reasons == ["version"]
    (*_, last) = wanted.items
    assert last is not None
    assert last.text == "How tall is the lighthouse?"
    letter = [*read_topic(root, Topic.DEAD_LETTERS)][-1]
    assert original_of(letter.record) == UNKNOWN
    assert main(["dead-letters", "replay", "--reason", "version"]) == 0
    assert [it.record for it in read_topic(root, Topic.EXCHANGES)][-1] == UNKNOWN


def test_an_exchange_that_the_next_version_left_open_is_ended(frozen: Frozen) -> None:
    opened = later(record_of(example(schema.Opened, exchange_id="ex-7"), PROMPT))
    with closing(Journal(frozen.journals / "gateway-0", limits=LIMITS)) as journal:
        journal.append_all([opened])
    with own_journal(load(frozen.config), "gateway"):
        pass
    last = [it.record for it in read_topic(frozen.journals, Topic.EXCHANGES)][-1]
    assert (last.id, last.kind) == ("ex-7", "closed")


def test_fields_that_are_not_known_change_nothing_in_a_segment() -> None:
    packed = msgspec.msgpack.encode([3, 7, [], {ADDED: 1}])
    assert msgspec.msgpack.decode(packed, type=Header) == Header(3, 7)
    record = record_of(example(schema.Opened), PROMPT)
    fields = msgspec.to_builtins(record, builtin_types=[bytes]) | {ADDED: {"a": 1}}
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(fields), type=Record) == record


def test_a_segment_of_a_later_format_is_refused_and_left_alone(frozen: Frozen) -> None:
    folder = frozen.journals / "gateway-0"
    file = segment_path(folder, 1)
    data = file.read_bytes()
    file.write_bytes(data[:7] + b"\x02" + data[8:])
    with pytest.raises(JournalBroken, match=r"format is 2, of a newer Watchgate.*install"):
        Journal(folder, limits=LIMITS)
    assert file.read_bytes() == data[:7] + b"\x02" + data[8:]


def envelope_of(record: Record, **more: int) -> bytes:
    return json.dumps(json.loads(wire.to_value(record)) | more).encode()


def test_envelopes_with_more_fields_and_headers_are_read() -> None:
    opened = record_of(example(schema.Opened))
    found = wire.to_record(opened.topic, opened.key, envelope_of(opened, **{ADDED: 1}))
    assert schema.to_event(found) == example(schema.Opened)
    headers = [("origin", b"gateway-0/1/7"), (ADDED, b"x")]
    assert wire.read_headers(headers).origin == Position("gateway-0", 1, 7)


def test_a_message_of_a_later_format_is_kept_until_it_can_be_replayed(frozen: Frozen) -> None:
    """Put aside by the version before this one, as it were: now it can be read."""
    record = record_of(example(schema.Opened, exchange_id="ex-7"), PROMPT)
    with pytest.raises(BadRecord):
        wire.to_record(record.topic, record.key, envelope_of(record, v=2))
    aside = wire.undecodable(record.topic, record.key, wire.to_value(record))
    letter = Received(aside, Position("watchgate.exchanges", 0, 1))
    with closing(Journal(frozen.journals / "screener-0", limits=LIMITS)) as journal:
        journal.append_all([dead_letter(letter, "screener", "undecodable", 1.0)])
    assert main(["dead-letters", "replay"]) == 0
    assert [it.record for it in read_topic(frozen.journals, Topic.EXCHANGES)][-1] == record
