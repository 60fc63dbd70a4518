import json
from pathlib import Path

import pytest

from load_tests.measure import Load, checked, http_request
from load_tests.processes import BenchError, filesystem_type, pinned
from load_tests.workloads import CPU_WORKLOADS, JSON, JSON_32K, MODELS, SSE, SSE_1000, Workload

QUANTILES = {"p50": 1.0, "p90": 2.0, "p99": 3.0}


def load(*, requests: int = 10, errors: int = 0) -> Load:
    return Load(requests, 101 * requests, errors, 2.0, QUANTILES, QUANTILES)


@pytest.mark.parametrize(("workload", "size"), [(JSON, 1536), (SSE, 1536), (JSON_32K, 32768)])
def test_a_request_has_a_body_of_exactly_the_size_of_its_workload(
    workload: Workload, size: int
) -> None:
    head, _, body = http_request(workload, "k").partition(b"\r\n\r\n")
    assert len(body) == size
    assert f"Content-Length: {size}\r\n".encode() in head + b"\r\n"
    assert b"Authorization: Bearer k\r\n" in head
    assert json.loads(body).get("stream", False) is (workload.stream is not None)


def test_nearly_all_of_a_request_is_new_each_time_so_that_no_cache_answers() -> None:
    request = http_request(JSON, "k")
    assert request.count(b"@" * 12) == 1
    assert request.count(b"~") > JSON.body_bytes * 0.8


def test_a_system_may_need_headers_of_its_own() -> None:
    assert b"\r\nx-to: there\r\n" in http_request(JSON, "k", {"x-to": "there"})


@pytest.mark.parametrize(("seconds", "streams"), [(0.1, 1), (2, 1), (4, 2), (9, 4), (10, 5)])
def test_every_connection_has_equally_many_streams(seconds: float, streams: int) -> None:
    assert SSE.stream is not None
    last_start_s, stream_s = SSE.length_s(seconds), SSE.stream.seconds
    ramp_s = SSE.connections * SSE.stream.stagger_us / 1e6
    assert (streams - 1) * stream_s + ramp_s < last_start_s < streams * stream_s * 0.99


def test_all_of_a_thousand_streams_start_before_the_first_ends() -> None:
    assert SSE_1000.stream is not None
    ramp_s = SSE_1000.connections * SSE_1000.stream.stagger_us / 1e6
    assert ramp_s < SSE_1000.length_s(0) < SSE_1000.stream.seconds


def test_the_models_of_all_workloads_are_served() -> None:
    assert {it.model for it in CPU_WORKLOADS.values()} <= set(MODELS)


def test_a_figure_with_a_wrong_answer_in_it_is_refused() -> None:
    with pytest.raises(BenchError, match="nginx: 1 of 10 answers were wrong: status is not 200"):
        checked("nginx", load(errors=1), "status is not 200")


def test_a_figure_without_an_answer_is_refused() -> None:
    with pytest.raises(BenchError):
        checked("nginx", load(requests=0), "")


def test_a_command_is_pinned_only_where_there_is_a_core_to_choose() -> None:
    assert pinned(["load", 16], 1) == ["taskset", "-c", "1", "load", "16"]
    assert pinned(["load", 16], None) == ["load", "16"]


def test_the_filesystem_of_a_path_is_that_of_its_innermost_mount() -> None:
    mountinfo = (
        "27 1 254:0 / / rw - ext4 /dev/vda rw\n"
        "25 24 0:23 / /mnt/fast\\040disk rw,relatime - tmpfs tmpfs rw\n"
    )
    assert filesystem_type(Path("/mnt/fast disk/run"), mountinfo) == "tmpfs"
    assert filesystem_type(Path("/mnt/run"), mountinfo) == "ext4"
