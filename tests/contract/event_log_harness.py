"""The event logs that the contract suite runs on, each behind the same few methods."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from service.events.journal import Journal, JournalReader, Limits
from service.events.kafka.config import KafkaConfig
from service.events.kafka.reader import KafkaReader
from service.events.kafka.sink import KafkaSink
from service.events.log import EventReader, Received, Record, Topic
from service.events.shipper import Shipper
from tests.real_parts.kafka_broker import KafkaBroker

READ_S: Final = 30.0
LIMITS: Final = Limits(segment_bytes=2**20, max_bytes=2**30, reserve_bytes=2**16)


class EventLogHarness(ABC):
    """An event log with its writer, started, on a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "journal"
        self._writer: Journal | None = None

    def write(self, records: Sequence[Record]) -> None:
        """Append, and return once the records are durable; readers see them soon after."""
        assert self._writer is not None
        self._writer.append_all(records)

    @abstractmethod
    def reader(self, group: str, topics: Collection[Topic] = tuple(Topic)) -> EventReader: ...

    def start(self) -> None:
        self._writer = Journal(self.root / "test-0", limits=LIMITS)

    def stop(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def restart(self) -> None:
        """Stop every part of the log, and start it again on what it kept."""
        self.stop()
        self.start()


class JournalHarness(EventLogHarness):
    """Writer and readers on one machine."""

    def reader(self, group: str, topics: Collection[Topic] = tuple(Topic)) -> EventReader:
        return JournalReader(self.root, group, topics)


class KafkaHarness(EventLogHarness):
    """Journal, shipper, a real broker, and readers of its topics."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._broker = KafkaBroker(folder / "broker")
        self._config = KafkaConfig((self._broker.address,), partitions=3)
        self._shipper: ShipperThread | None = None

    def reader(self, group: str, topics: Collection[Topic] = tuple(Topic)) -> EventReader:
        return KafkaReader(self._config, group, topics)

    def start(self) -> None:
        super().start()
        self._broker.start()
        self._shipper = ShipperThread(self.root, self._config)

    def stop(self) -> None:
        if self._shipper is not None:
            self._shipper.stop()
            self._shipper = None
        super().stop()
        self._broker.stop()


class ShipperThread:
    """A shipper in this process, from a journal to Kafka."""

    def __init__(self, root: Path, config: KafkaConfig) -> None:
        self._reader = JournalReader(root, "shipper", tuple(Topic))
        self._sink = KafkaSink(config)
        self._stop = threading.Event()
        self.shipper = Shipper(self._reader, self._sink, poll_timeout_s=0.1)
        self._thread = threading.Thread(target=self.shipper.run, args=[self._stop])
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "the shipper did not stop within 60 s"
        self._sink.close()
        self._reader.close()


def read(reader: EventReader, count: int, timeout_s: float = READ_S) -> list[Received]:
    """Poll until so many different records came; returns first occurrences, in order."""
    deadline = time.monotonic() + timeout_s
    found: dict[tuple[str, str], Received] = {}
    while len(found) < count:
        remaining_s = deadline - time.monotonic()
        assert remaining_s > 0, f"{len(found)} of {count} records came within {timeout_s:g} s"
        for received in reader.poll(min(1.0, remaining_s)):
            found.setdefault((received.record.topic, received.record.id), received)
    return list(found.values())
