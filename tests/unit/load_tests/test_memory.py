import os
import subprocess
import sys

from load_tests.memory import parse_rollup, pss_bytes, tree_pss_bytes

MIB = 1 << 20
HOLDER = "import sys; kept = b'x' * (64 << 20); print(1, flush=True); sys.stdin.read()"


def test_the_proportional_size_is_read_in_bytes() -> None:
    text = "0-1 ---p 0 00:00 0 [rollup]\nRss:   1680 kB\nPss:    228 kB\nPss_Anon:  112 kB\n"
    assert parse_rollup(text) == 228 * 1024


def test_the_memory_of_a_child_counts_for_its_parent() -> None:
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline()
        assert tree_pss_bytes(os.getpid()) > pss_bytes([os.getpid()]) + 60 * MIB


def test_a_process_that_is_gone_holds_nothing() -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
        assert pss_bytes([gone.pid]) == 0
