import os
import subprocess

from load_tests.cpu import (
    TICKS_PER_S,
    ProcessTimes,
    parse_stat,
    pid_with_word,
    tree_cpu_us,
    tree_ticks,
)


def stat_line(name: str) -> str:
    before_times = "S 17 42 42 0 -1 4194560 100 200 0 0"
    return f"42 ({name}) {before_times} 7 5 3 1 20 0 1 0 99 1000 50 18446744073709551615\n"


def test_user_and_system_time_of_a_process_and_its_ended_children_are_added() -> None:
    assert parse_stat(stat_line("envoy")) == ProcessTimes(pid=42, parent=17, ticks=16)


def test_a_process_name_with_blanks_and_brackets_does_not_shift_the_fields() -> None:
    assert parse_stat(stat_line("nginx: worker (1) 9")).ticks == 16


def test_only_the_root_and_its_descendants_are_counted() -> None:
    processes = [
        ProcessTimes(pid=1, parent=0, ticks=1000),
        ProcessTimes(pid=10, parent=1, ticks=1),
        ProcessTimes(pid=11, parent=10, ticks=2),
        ProcessTimes(pid=12, parent=11, ticks=4),
        ProcessTimes(pid=20, parent=1, ticks=500),
    ]
    assert tree_ticks(processes, root=10) == 7


def test_a_process_whose_parent_has_ended_is_not_counted() -> None:
    assert tree_ticks([ProcessTimes(pid=12, parent=11, ticks=4)], root=10) == 0


def test_a_process_of_a_tree_is_found_by_a_word_of_its_command() -> None:
    with subprocess.Popen(["sleep", "61.5"]) as child:
        try:
            assert pid_with_word(os.getpid(), "61.5") == child.pid
            assert pid_with_word(os.getpid(), "no such word") == 0
        finally:
            child.kill()


def test_the_cpu_time_of_this_process_grows_by_what_it_works() -> None:
    before_us = tree_cpu_us(os.getpid())
    while tree_cpu_us(os.getpid()) < before_us + 2e6 / TICKS_PER_S:
        sum(range(100_000))
    assert tree_cpu_us(os.getpid()) > before_us
