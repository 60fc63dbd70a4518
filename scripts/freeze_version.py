"""What this version writes, kept for the tests of the next: `python -m scripts.freeze_version`.

Run it when a version is released, and commit the folder, `tests/data/version-<version>`; the one
before may go then. In it:

    data/            a `data_dir`: journals, pepper, audit key, a local copy of the store
    store.sql        the SQLite store, as statements
    store.jsonl.gz   a backup of the store
    kafka.jsonl      messages as the shipper sends them: topic, key, value, headers
    manifest.json    what is in them, and the schema of the events
"""

import base64
import contextlib
import io
import json
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import structs

from scripts.example_events import example, record_of, schema_of_events
from service.cli import main as watchgate
from service.core.audit import Head
from service.core.coverage import UNRECORDED
from service.core.surfaces.answers import Answer, Choice
from service.events import audit, schema
from service.events.journal import Journal, Limits, read_topic
from service.events.journal.groups import Group, groups_folder
from service.events.journal.machine import machine_of
from service.events.kafka import wire
from service.events.log import Received, Record, Topic
from service.store import Store, open_store
from service.store.audit import head_of
from service.store.copy import Heard, LocalCopy, this_moment
from service.store.coverage import Gap, open_gaps
from service.store.heartbeats import beat
from service.store.pepper_files import peppers_in
from service.store.schema import HEAD, READABLE_FROM
from service.store.snapshot import load_snapshot
from service.workers.enforcer import Enforcer
from service.workers.loop import dead_letter

FOLDER: Final = Path(__file__).resolve().parents[1] / "tests" / "data"
SETTINGS: Final = """
data_dir: data
upstreams: [{name: local, url: "http://127.0.0.1:8000"}]
models: [{name: llama, upstream: local, tier: 1}]
"""
PROMPT: Final = b'{"messages":[{"role":"user","content":"How tall is the lighthouse?"}]}'
LONG_PROMPT: Final = PROMPT.replace(b"How", b"How " * 500 + b"how")
ANSWER: Final = msgspec.json.encode(Answer([Choice(0, text="As tall as twelve sheep.")]))
CIPHERTEXT: Final = bytes(range(256))
"""Stands for content that was encrypted: any bytes."""
MAX_MESSAGE_BYTES: Final = 1200
"""So small that one record travels in parts."""
_PAGES: Final = schema.Crossing("op_page", "any", 0.9, 0.5, "page")
PROPOSE: Final = (
    "points propose --detector lexical --category any --part prompt --threshold 0.9 --action case "
    "--owner frozen --never-expires --reason frozen"
)
COMMANDS: Final = (
    "orgs create acme",
    "projects create search --organisation acme --models llama --max-tokens 512",
    "service-accounts create bot --project search",
    "keys create --project search --name good --json",
    "keys create --project search --addresses 10.0.0.0/8 --name narrow --json",
    "keys create --project search --name revoked --json",
    "limits set --project search --requests-per-min 60",
    "projects create loud --organisation acme",
    "accounts suspend loud --reason frozen",
    "tokens create --role operator --name ops --json",
    PROPOSE,
)


def freeze(folder: Path) -> None:
    """Write everything into a folder that is not there yet."""
    folder.mkdir(parents=True)
    config = folder / "watchgate.yaml"
    config.write_text(SETTINGS)
    with contextlib.chdir(folder):
        printed = _administered()
        with contextlib.closing(open_store(f"sqlite:///{folder}/data/watchgate.db")) as store:
            with store.read() as connection:
                head = head_of(connection)
            records = _journals(folder / "data" / "journal", head)
            _fill(store, records)
            _copy(store, folder / "data")
        _run("store backup store.jsonl.gz")
    _spell_out(folder / "data" / "watchgate.db", folder / "store.sql")
    for ballast in (folder / "data" / "journal").glob("*/ballast"):
        ballast.unlink()
    _kafka(folder / "kafka.jsonl", records)
    _manifest(folder / "manifest.json", printed, records)
    config.unlink()


def _run(command: str) -> Any:  # noqa: ANN401  (whatever JSON holds)
    """Run a command of Watchgate here; return what it prints as JSON."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()) as err:
        code = watchgate(command.split())
    if code:
        raise SystemExit(f"watchgate {command}: {err.getvalue()}")
    return json.loads(out.getvalue()) if "--json" in command else {}


def _administered() -> Mapping[str, Any]:
    """Make one of each that administrators make; return the keys and the token by name."""
    printed = {command: _run(command) for command in COMMANDS}
    made = {command.split()[-2]: it for command, it in printed.items() if it}
    _run(f"keys revoke {made['revoked']['id']}")
    proposed = next(it for it in _run("points list --json") if it["state"] == "proposed")
    _run(f"points promote {proposed['id']} --reason frozen")
    return made


def _events() -> Iterator[Record]:
    """Yield an exchange that ended, one that is encrypted, one under way, and a refusal."""
    opened = example(schema.Opened, exchange_id="ex-1", surface="chat", model="llama")
    closed = example(schema.Closed, exchange_id="ex-1", surface="chat", model="llama")
    yield record_of(opened, PROMPT)
    yield record_of(closed, ANSWER)
    for event in (opened, closed):
        hidden = record_of(structs.replace(event, exchange_id="ex-2"), CIPHERTEXT)
        yield structs.replace(hidden, key_id="content-key-1")
    yield record_of(structs.replace(opened, exchange_id="ex-3"), LONG_PROMPT)
    yield record_of(example(audit.Denied))


def _journals(root: Path, head: Head) -> list[Received]:
    """Write the journals of a gateway and of a screener; return what is in them."""
    limits = Limits(reserve_bytes=4096)
    with contextlib.closing(Journal(root / "gateway-0", limits=limits)) as journal:
        positions = journal.append_all([*_events()])
    Group(groups_folder(root), "screener").save({"gateway-0": positions[0]})
    verdict = example(schema.Verdict, exchange_id="ex-1", id="v-1", crossed=(_PAGES,))
    broken = Received(Record(Topic.EXCHANGES, b"loud", "opened", "ex-9", b"{"), positions[-1])
    letter = dead_letter(broken, "screener", "undecodable", 1.5)
    with contextlib.closing(Journal(root / "screener-0", limits=limits)) as journal:
        anchor = audit.Anchor(at=1.5, seq=head.seq, mac=head.mac.hex())
        journal.append_all([record_of(verdict), letter, record_of(anchor)])
    return [it for topic in Topic for it in read_topic(root, topic)]


def _fill(store: Store, records: Sequence[Received]) -> None:
    """Put into the store what workers do."""
    verdicts = [it for it in records if it.record.kind == "verdict"]
    Enforcer(store, clock=time.time).handle(verdicts)
    with store.begin() as connection:
        beat(connection, "screener", time.time(), 0.5)
        open_gaps(connection, [Gap("ex-3", UNRECORDED, "llama")], time.time())


def _copy(store: Store, data_dir: Path) -> None:
    copy = LocalCopy(data_dir / "store-copy" / "gateway-0", peppers_in(data_dir))
    copy.save(load_snapshot(store, time.time()), Heard(this_moment()))


def _spell_out(database: Path, file: Path) -> None:
    """Put statements that make a database in its place: a tenth of the bytes, and readable."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        file.write_text("\n".join(connection.iterdump()) + "\n")
    database.unlink()


def _kafka(file: Path, records: Sequence[Received]) -> None:
    machine = machine_of(file.parent / "data" / "journal")
    lines = [
        {
            "topic": message.topic,
            "key": _text(message.key),
            "value": _text(message.value),
            "headers": [(name, _text(value)) for name, value in message.headers],
        }
        for received in records
        for message in wire.messages(received, MAX_MESSAGE_BYTES, machine)
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _manifest(file: Path, printed: Mapping[str, Any], records: Sequence[Received]) -> None:
    manifest = {
        "version": version("watchgate"),
        "store": {"schema": HEAD, "readable_from": READABLE_FROM},
        "secrets": {name: it.get("key") or it["token"] for name, it in printed.items()},
        "records": [_described(it) for it in records],
        "events": schema_of_events(),
    }
    file.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def _described(received: Received) -> dict[str, Any]:
    record = received.record
    content = None if record.content is None else _text(record.content)
    return {
        "position": [*received.position],
        "kind": record.kind,
        "id": record.id,
        "content": content,
        "key_id": record.key_id,
    }


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def main() -> int:
    """Freeze today's version, once."""
    folder = FOLDER / f"version-{version('watchgate')}"
    if folder.exists():
        sys.stderr.write(f"{folder} is there already: a version is frozen once\n")
        return 1
    try:
        freeze(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
