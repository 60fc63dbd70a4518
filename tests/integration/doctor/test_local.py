import fcntl
import os
import socket
from pathlib import Path

import pytest

from service.doctor.local import (
    command_of,
    holder_in,
    holder_of,
    is_of_this_machine,
    listeners_in,
    listeners_on,
)

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1 0
   1: 00000000:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 102 1 0
   2: 0100007F:1F40 0100007F:C000 01 00000000:00000000 00:00000000 00000000     0        0 103 1 0
   3: 0100007F:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 104 1 0
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx rx
   0: 00000000000000000000000000000000:1F40 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 201 1
   1: 00000000000000000000000001000000:1F40 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 202 1
   2: 0000000000000000FFFF00000100007F:1F40 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 203 1
"""  # noqa: E501  (as the kernel prints it)


def test_the_kernels_table_tells_who_listens_on_a_port_and_for_whom() -> None:
    found = [(str(it.address), it.is_loopback, it.inode) for it in listeners_in(TCP, 8000)]
    assert found == [("127.0.0.1", True, "101"), ("0.0.0.0", False, "102")]  # noqa: S104  (read)


def test_the_kernels_table_of_ipv6_is_read_too() -> None:
    everywhere, loopback, mapped = listeners_in(TCP6, 8000)
    assert (str(everywhere.address), everywhere.is_loopback) == ("::", False)
    assert (str(loopback.address), loopback.is_loopback) == ("::1", True)
    assert mapped.is_loopback


def test_a_real_listener_is_found_with_its_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = listeners_on(server.getsockname()[1])
    assert found is not None
    assert [str(it.address) for it in found] == ["127.0.0.1"]
    assert command_of([found[0].inode]) is None  # the test is no vLLM


def test_where_the_system_does_not_tell_nothing_is_claimed(tmp_path: Path) -> None:
    assert listeners_on(8000, tmp_path) is None


def test_the_command_line_of_a_vllm_is_that_of_whoever_holds_the_socket(tmp_path: Path) -> None:
    for pid, inode, command in (
        ("11", "7", "vllm\0serve\0m\0--port\0"),
        ("12", "8", "nginx\0-g\0"),
    ):
        (tmp_path / pid / "fd").mkdir(parents=True)
        (tmp_path / pid / "fd" / "3").symlink_to(f"socket:[{inode}]")
        (tmp_path / pid / "cmdline").write_text(command)
    assert command_of(["7", "8"], tmp_path) == ["vllm", "serve", "m", "--port"]
    assert command_of(["8"], tmp_path) is None


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", True), ("192.0.2.1", False)])
def test_a_host_is_of_this_machine_if_its_address_is(host: str, expected: bool) -> None:
    assert is_of_this_machine(host) is expected


def test_who_holds_a_lock_is_told_without_taking_it(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    assert holder_of(lock) is None
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert holder_of(lock) == os.getpid()
    assert holder_of(lock) is None


def test_locks_of_other_kinds_and_files_are_passed_over() -> None:
    table = (
        "1: POSIX  ADVISORY  WRITE 5 fe:01:12 0 EOF\n"
        "2: FLOCK  ADVISORY  WRITE 6 fe:01:13 0 EOF\n"
        "2: -> FLOCK  ADVISORY  WRITE 8 fe:01:12 0 EOF\n"
        "3: FLOCK  ADVISORY  WRITE 7 fe:01:12 0 EOF\n"
    )
    assert holder_in(table, "fe:01:12") == 7
    assert holder_in(table, "fe:01:14") is None
