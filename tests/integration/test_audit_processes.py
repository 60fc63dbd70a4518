"""Several processes append to one audit log, and are killed while they do."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from service.core.audit_check import Anchor, ChainCheck, Report
from service.store import open_store
from service.store.audit import head_of, read_links
from tests.integration.test_store_processes import PROCESSES, run_at_once

KEY: Final = b"a key of the chain, long enough"
APPEND: Final = """
from service.core.audit import Action, Entry
from service.store import open_store
from service.store.audit import AuditLog
store, log = open_store(sys.argv[1]), AuditLog(b"a key of the chain, long enough")
{gate}
for number in range(int(sys.argv[2])):
    with store.begin() as connection:
        entry = Entry(number / 7, "cli:" + sys.argv[0], Action.KEY_CREATE, "key/x", after=number)
        seq = log.record(connection, entry)
    print(seq, flush=True)
"""
EACH: Final = 15
KILLS: Final = 6


def report_of(url: str) -> Report:
    store = open_store(url)
    with store.read() as connection:
        head = head_of(connection)
    check = ChainCheck(KEY, [Anchor(*head, None, "--anchor")])
    for link in read_links(store):
        check.see(link)
    store.close()
    return check.end()


def test_a_log_that_several_append_to_at_once_is_whole(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/watchgate.db"
    outputs = run_at_once(APPEND, url, str(EACH))
    numbers = sorted(int(line) for output in outputs for line in output.splitlines())
    assert numbers == list(range(1, EACH * PROCESSES + 1))
    report = report_of(url)
    assert (report.findings, report.entries) == ((), EACH * PROCESSES)


def test_whoever_is_killed_while_it_appends_leaves_the_log_whole(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/watchgate.db"
    open_store(url).close()
    acknowledged: list[int] = []
    for _ in range(KILLS):
        with appending(url) as victim:
            assert victim.stdout is not None
            acknowledged += [int(victim.stdout.readline()) for _ in range(3)]
            victim.kill()  # it is at the next
            acknowledged += map(int, victim.communicate()[0].split())
    assert len(set(acknowledged)) == len(acknowledged) >= 3 * KILLS
    report = report_of(url)
    assert report.findings == ()
    assert report.entries >= max(acknowledged)


@contextmanager
def appending(url: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a process that appends until it is killed, at the end of the block at the latest."""
    command = [sys.executable, "-c", "import sys\n" + APPEND.format(gate=""), url, "1000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
