"""What gateways pay for the store: `python -m load_tests.bench_store [--keys N] [--projects N]`.

Fills an SQLite file and a PostgreSQL of its own with keys and projects, and prints a table of what
it takes to load them all, to learn of one revocation, to keep and to load the local copy, and of
what writers pay for coming one after the other. docs/store.md has the figures of one machine.
"""

import argparse
import asyncio
import contextlib
import gc
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

from sqlalchemy import insert

from load_tests.memory import pss_bytes
from service.core.callers import authenticate
from service.core.directory import Snapshot
from service.store import Store, load_snapshot, open_store, refresh
from service.store.copy import Heard, LocalCopy, this_moment
from service.store.heartbeats import beat
from service.store.keys import revoke_key
from service.store.owners import Origin, make_project
from service.store.revision import bump_revision
from service.store.tables import keys, projects
from tests.real_parts.postgres import PostgresServer, database

RUNS: Final = 5
PROCESSES: Final = 4
WRITES: Final = 100
NOW: Final = 1_000_000.0
MIB: Final = 2**20


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table for each database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--projects", type=int, default=10_000)
    args = parser.parse_args(arguments)
    columns = {}
    for name, where in (("SQLite", sqlite_url), ("PostgreSQL", postgres_url)):
        with where() as url, contextlib.closing(open_store(url)) as store:
            fill(store, args.keys, args.projects)
            # a process of its own: its memory is the snapshot's alone
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
                columns[name] = alone.submit(measured, url).result()
            columns[name] |= writing(url)
    show(columns, args.keys, args.projects)
    return 0


@contextlib.contextmanager
def sqlite_url() -> Iterator[str]:
    """Give the address of a new file."""
    with tempfile.TemporaryDirectory(prefix="watchgate-bench-") as folder:
        yield f"sqlite:///{folder}/watchgate.db"


@contextlib.contextmanager
def postgres_url() -> Iterator[str]:
    """Give the address of a new database, whose server syncs as in production."""
    with PostgresServer(durable=True) as server, database(server) as url:
        yield url


def fill(store: Store, key_count: int, project_count: int) -> None:
    """Make keys, a tenth of them with rules of their own, spread over projects."""
    made = {"created_at": NOW, "created_by": "bench"}
    with store.begin() as connection:
        make_project(connection, "project-0", Origin(NOW, "bench"))
        revision = bump_revision(connection)
        owner = {"organisation": "default", "entitlements": "[]", "revision": revision, **made}
        rows = [{"name": f"project-{n}", **owner} for n in range(1, project_count)]
        connection.execute(insert(projects), rows)
        for start in range(0, key_count, 10_000):
            numbers = range(start, min(start + 10_000, key_count))
            connection.execute(
                insert(keys), [key_row(n, n % project_count, revision) | made for n in numbers]
            )


def key_row(number: int, project: int, revision: int) -> dict[str, object]:
    """Return the row of one key."""
    rules = None if number % 10 else f'{{"max_tokens":{1000 + number % 50}}}'
    return {
        "id": key_id(number), "project": f"project-{project}", "digest": digest_of(number),
        "pepper": "bench", "prefix": "sk-wg-bench0", "rules": rules, "revision": revision,
    }  # fmt: skip


def key_id(number: int) -> str:
    """Return an id as long as real ones."""
    return f"key_{number:012d}"


def digest_of(number: int) -> bytes:
    """Return bytes that are spread as digests are."""
    return (number * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8, "big") * 4


def measured(url: str) -> dict[str, str]:
    """Return what was measured of reading."""
    with contextlib.closing(open_store(url)) as store:
        load_snapshot(store, NOW)  # whatever is imported or connected the first time
        gc.collect()
        before = pss_bytes([os.getpid()])
        snapshot = load_snapshot(store, NOW)
        gc.collect()
        held_mib = (pss_bytes([os.getpid()]) - before) / MIB
        return {
            "load everything": ms(timed(lambda: load_snapshot(store, NOW))),
            "… longest that the event loop waits for it": ms(
                [blocked_s(lambda: load_snapshot(store, NOW)) for _ in range(RUNS)]
            ),
            "memory of the snapshot": f"{held_mib:.0f} MiB",
            "look a key up and authenticate it": looked_up(snapshot),
            "poll: nothing changed": ms(timed(lambda: refresh(store, snapshot, NOW))),
            **revoking(store, snapshot),
            **copying(snapshot),
        }


def timed(action: Callable[[], object], runs: int = RUNS) -> list[float]:
    """Return how many seconds each of several runs took."""
    took = []
    for _ in range(runs):
        started = time.perf_counter()
        action()
        took.append(time.perf_counter() - started)
    return took


def ms(took: Sequence[float]) -> str:
    """Return the median and the longest, in words."""
    return f"{statistics.median(took) * 1e3:.1f} ms (longest {max(took) * 1e3:.1f})"


def blocked_s(action: Callable[[], object]) -> float:
    """Return the longest time that an event loop waited while a thread acted, over its sleep."""

    async def watch() -> float:
        acting = asyncio.create_task(asyncio.to_thread(action))
        longest = 0.0
        while not acting.done():
            started = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - started - 0.001)
        return longest

    return asyncio.run(watch())


def looked_up(snapshot: Snapshot) -> str:
    """Return what it takes to authenticate, over keys in no order."""
    digests = list(snapshot.keys)[::37]
    started = time.perf_counter()
    for digest in digests:
        authenticate(snapshot, digest, NOW)
    return f"{(time.perf_counter() - started) / len(digests) * 1e6:.1f} µs"


def revoking(store: Store, snapshot: Snapshot) -> Mapping[str, str]:
    """Revoke keys one by one, and learn of each."""
    took, waited = [], []
    for number in range(RUNS):
        with store.begin() as connection:
            revoke_key(connection, key_id(number), NOW)
        old = snapshot
        took += timed(lambda old=old: refresh(store, old, NOW), 1)  # type: ignore[misc]
        waited.append(blocked_s(lambda old=old: refresh(store, old, NOW)))  # type: ignore[misc]
        snapshot = refresh(store, old, NOW)
        assert snapshot.keys[digest_of(number)].revoked_at == NOW
    return {"poll: one key was revoked": ms(took), "… the event loop waits": ms(waited)}


def copying(snapshot: Snapshot) -> Mapping[str, str]:
    """Keep the snapshot, and take it up again."""
    with tempfile.TemporaryDirectory(prefix="watchgate-bench-") as folder:
        path, pepper, heard = Path(folder) / "copy", b"a pepper of the bench", Heard(this_moment())

        def save() -> None:
            LocalCopy(path, [pepper]).save(snapshot, heard)

        return {
            "save the local copy": ms(timed(save)),
            "… longest that the event loop waits for that": ms(
                [blocked_s(save) for _ in range(RUNS)]
            ),
            "size of the local copy": f"{path.stat().st_size / MIB:.1f} MiB",
            "start from the local copy": ms(
                timed(lambda: LocalCopy(path, [pepper]).load(this_moment()))
            ),
        }


def writing(url: str) -> dict[str, str]:
    """Measure signs of life, as one writer and as several that wait for each other."""
    with contextlib.closing(open_store(url)) as store:
        alone = timed(lambda: one_beat(store, "alone"), WRITES)
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
        spans = [span for many in pool.map(beats, [url] * PROCESSES) for span in many]
    lasted = max(end for _, end in spans) - min(start for start, _ in spans)
    together, rate = [end - start for start, end in spans], len(spans) / lasted
    return {
        "a sign of life, one writer": ms(alone),
        f"a sign of life, {PROCESSES} processes at once": ms(together),
        "… transactions a second of all": f"{rate:.0f}",
    }


def beats(url: str) -> list[tuple[float, float]]:
    """Give signs of life as fast as they are taken; return when each began and ended."""
    spans = []
    with contextlib.closing(open_store(url)) as store:
        for _ in range(WRITES):
            started = time.perf_counter()
            one_beat(store, str(os.getpid()))
            spans.append((started, time.perf_counter()))
    return spans


def one_beat(store: Store, name: str) -> None:
    """Give one sign of life."""
    with store.begin() as connection:
        beat(connection, name, NOW, 0.0)


def show(columns: Mapping[str, Mapping[str, str]], key_count: int, project_count: int) -> None:
    """Print the table."""
    print(f"{key_count:,} keys in {project_count:,} projects; median of {RUNS} runs\n")
    names = list(columns)
    print(f"| what | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for row in columns[names[0]]:
        print(f"| {row} | {' | '.join(columns[name][row] for name in names)} |")


if __name__ == "__main__":
    raise SystemExit(main())
