"""What recording costs: CPU-microseconds for each record that the journal takes, by group size.

    python load_tests/bench_journal.py --records 4000 --rounds 5

A record is 2.2 KB, half of them `opened` and half `closed`; a group is what is handed over
together, as the gateway does in each round of its loop, at level *written*; the next one follows
when it is written. CPU is that of the whole process: the journal's threads, closing it, and waking
this thread for each group, which is most of it where a group is one record. Rounds of the group
sizes are interleaved, because neighbours on the machine make it noisy.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path

from service.events.journal import Journal, Limits, Pending
from service.events.log import Durability, Record, Topic

_BODY = b'{"kind":"opened","padding":"' + b"x" * 600 + b'"}'
_CONTENT = b'{"messages":"' + b"y" * 1450 + b'"}'


def _record(number: int) -> Record:
    kind = "closed" if number % 2 else "opened"
    key = b"project-%d" % (number % 7)
    return Record(Topic.EXCHANGES, key, kind, f"ex-{number // 2:020d}", _BODY, _CONTENT)


def measure(folder: Path, group: int, records: int, sync_interval_s: float) -> dict[str, float]:
    """Append records in groups; return microseconds a record, and of a group's wait."""
    todo = [_record(i) for i in range(records)]
    waits: list[float] = []
    before = time.process_time()
    limits = Limits(reserve_bytes=1 << 20)
    journal = Journal(folder, limits=limits, sync_interval_s=sync_interval_s)
    for start in range(0, records, group):
        done = threading.Event()
        these = todo[start : start + group]
        since = time.perf_counter()
        pendings = [Pending(record, Durability.WRITTEN, False, None) for record in these]
        pendings[-1].waiter = done
        journal.put(pendings, sum(record.size_bytes for record in these))
        if not done.wait(60):
            raise TimeoutError("the journal announced nothing for a minute")
        waits.append(time.perf_counter() - since)
    journal.close()
    cpu = time.process_time() - before
    waits.sort()
    return {
        "cpu_us": cpu / records * 1e6,
        "p50_us": waits[len(waits) // 2] * 1e6,
        "p99_us": waits[len(waits) * 99 // 100] * 1e6,
    }


def main() -> None:
    """Measure and print one JSON line for each group size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--groups", default="1,4,16")
    parser.add_argument("--records", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sync-interval", type=float, default=0.05)
    parser.add_argument("--dir", default=None, help="a folder on the disk to be measured")
    args = parser.parse_args()
    groups = [int(part) for part in args.groups.split(",")]
    found: dict[int, list[dict[str, float]]] = {group: [] for group in groups}
    for _ in range(args.rounds):
        for group in groups:
            root = Path(tempfile.mkdtemp(dir=args.dir))
            try:
                one = measure(root / "bench-0", group, args.records, args.sync_interval)
            finally:
                shutil.rmtree(root)
            found[group].append(one)
    for group, rounds in found.items():
        line: dict[str, float] = {"group": group}
        for name in ("cpu_us", "p50_us", "p99_us"):
            values = [one[name] for one in rounds]
            line[f"{name}_min"] = round(min(values), 1)
            line[f"{name}_median"] = round(statistics.median(values), 1)
        print(json.dumps(line))


if __name__ == "__main__":
    main()
