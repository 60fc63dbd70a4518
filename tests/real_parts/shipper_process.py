"""A shipper in a process of its own, to be killed: journal folder and broker are arguments."""

import subprocess
import sys
import threading
from pathlib import Path

from service.events.journal import JournalReader
from service.events.kafka.config import KafkaConfig
from service.events.kafka.sink import KafkaSink
from service.events.log import Topic
from service.events.shipper import Shipper

REPOSITORY = Path(__file__).resolve().parents[2]
BATCH_RECORDS = 20


def start_shipper(root: Path, address: str, partitions: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.real_parts.shipper_process", root, address, str(partitions)],
        cwd=REPOSITORY,
    )


def main(root: str, address: str, partitions: str) -> None:
    reader = JournalReader(Path(root), "shipper", tuple(Topic), batch_records=BATCH_RECORDS)
    sink = KafkaSink(KafkaConfig((address,), partitions=int(partitions)))
    Shipper(reader, sink).run(threading.Event())


if __name__ == "__main__":
    main(*sys.argv[1:])
