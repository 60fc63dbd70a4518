"""What other versions wrote: those that were frozen, and one that is still to come."""

import base64
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from service.events.kafka.wire import Message
from service.events.log import Topic

FROZEN: Final = sorted((Path(__file__).resolve().parents[1] / "data").glob("version-*"))
SETTINGS: Final = """
data_dir: data
upstreams: [{name: local, url: "http://127.0.0.1:8000"}]
models: [{name: llama, upstream: local, tier: 1}]
"""
ADDED: Final = "of_the_next_version"
"""The name of whatever the next version adds."""
EARLIER: Final = "written by it"
"""The value of each added column, as the next version wrote it."""
NEWER_SCHEMA: Final = "9000"


class Frozen:
    """A copy of what a version wrote, as it lay on its machine."""

    def __init__(self, frozen: Path, folder: Path) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.journals = self.data_dir / "journal"
        self.store_url = f"sqlite:///{self.data_dir}/watchgate.db"
        self.backup = frozen / "store.jsonl.gz"
        self.manifest: dict[str, Any] = json.loads((frozen / "manifest.json").read_text())
        self._kafka = frozen / "kafka.jsonl"
        shutil.copytree(frozen / "data", self.data_dir)
        with closing(sqlite3.connect(self.data_dir / "watchgate.db")) as connection:
            connection.executescript((frozen / "store.sql").read_text())
        for path in self.data_dir.rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)
        self.config = folder / "watchgate.yaml"
        self.config.write_text(SETTINGS)

    def secret(self, name: str) -> str:
        """Return a key or token by its name."""
        return str(self.manifest["secrets"][name])

    def messages(self) -> Iterator[Message]:
        """Yield what was sent to Kafka."""
        for line in map(json.loads, self._kafka.read_text().splitlines()):
            headers = [(name, base64.b64decode(value)) for name, value in line["headers"]]
            key, value = (base64.b64decode(line[name]) for name in ("key", "value"))
            yield Message(Topic(line["topic"]), key, value, headers)


def with_more(value: Any) -> Any:  # noqa: ANN401  (whatever JSON holds)
    """Return a JSON value with one more field in each object of it."""
    if isinstance(value, list):
        return [with_more(it) for it in value]
    if isinstance(value, dict):
        return {name: with_more(it) for name, it in value.items()} | {ADDED: [1, {"a": None}]}
    return value


def more_in_body(body: bytes) -> bytes:
    """Return an event with a field in each of its structs that only the next version knows."""
    event = json.loads(body)
    scores = event.get("scores")  # a map of texts, and no struct
    event = with_more(event)
    if scores is not None:
        event["scores"] = scores
    return json.dumps(event).encode()


def migrate_further(database: Path, readable_from: str) -> list[str]:
    """Bring a store to a schema to come; return its tables.

    Each table has one more column, which is filled, and there is one more table.
    """
    with closing(sqlite3.connect(database)) as connection:
        audit = connection.execute("SELECT sql FROM sqlite_master WHERE name='audit_no_update'")
        (trigger,) = audit.fetchone()
        connection.execute("DROP TRIGGER audit_no_update")
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = [name for (name,) in found if name not in {"alembic_version", "sqlite_sequence"}]
        for table in tables:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {ADDED} TEXT")
            connection.execute(f"UPDATE {table} SET {ADDED} = ?", [EARLIER])  # noqa: S608
        connection.execute(trigger)
        connection.execute(f"CREATE TABLE {ADDED} (id INTEGER PRIMARY KEY)")
        connection.execute("UPDATE alembic_version SET version_num = ?", [NEWER_SCHEMA])
        connection.execute("UPDATE meta SET readable_from = ?, made_by = '9.1.0'", [readable_from])
        connection.commit()
    return tables
