"""The store away, SQLite's file locked, Redis away."""

import sqlite3
import time
from contextlib import closing
from typing import Final

from load_tests.faults.fault import Fault
from load_tests.faults.stand import Stand

STAND: Final = "PostgreSQL and Redis"


def sqlite_locked(stand: Stand, seconds: float) -> None:
    """Another holds the lock: nobody writes, and nobody begins to read."""
    file = stand.watchgate.settings["store"]["url"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, isolation_level=None, timeout=30)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)
        holder.execute("COMMIT")


def postgres_stopped(stand: Stand, seconds: float) -> None:
    """The server ends its connections, and is started again."""
    stand.parts["postgres"].stop()
    try:
        time.sleep(seconds)
    finally:
        stand.parts["postgres"].start()


def redis_killed(stand: Stand, seconds: float) -> None:
    """Redis dies with all that it holds, and comes back empty."""
    stand.parts["redis"].kill()
    try:
        time.sleep(seconds)
    finally:
        stand.parts["redis"].start()


def redis_silent(stand: Stand, seconds: float) -> None:
    """Redis takes connections and answers nothing."""
    stand.parts["redis"].pause()
    try:
        time.sleep(seconds)
    finally:
        stand.parts["redis"].resume()


FAULTS: Final = (
    Fault(
        "sqlite-locked", "one machine", "another holds SQLite's lock for {seconds} s", sqlite_locked
    ),
    Fault("postgres-stopped", STAND, "PostgreSQL is stopped for {seconds} s", postgres_stopped),
    Fault(
        "redis-killed", STAND, "Redis is killed; {seconds} s later it is back, empty", redis_killed
    ),
    Fault("redis-silent", STAND, "Redis answers nothing for {seconds} s", redis_silent),
)
