import json
from pathlib import Path

import pytest

from load_tests.measure import (
    BODY_BYTES,
    STAGGER_US,
    STREAM_S,
    STREAMS,
    Load,
    Measurement,
    Round,
    SystemRound,
    checked,
    http_request,
    whole_streams_s,
)
from load_tests.processes import BenchError, filesystem_type, pinned
from load_tests.report import as_json, costs, table

QUANTILES = {"p50": 1.0, "p90": 2.0, "p99": 3.0}


def load(*, requests: int = 10, errors: int = 0) -> Load:
    return Load(requests, 101 * requests, errors, 2.0, QUANTILES, QUANTILES)


def round_of(**json_cpu_us: float) -> Round:
    return {
        name: SystemRound(Measurement(cpu_us, load()), Measurement(cpu_us / 4, load()), 50.0)
        for name, cpu_us in json_cpu_us.items()
    }


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_has_a_body_of_exactly_one_and_a_half_kib(*, stream: bool) -> None:
    head, _, body = http_request(model="mock-20-100", stream=stream, key="k").partition(b"\r\n\r\n")
    assert len(body) == BODY_BYTES
    assert b"Content-Length: 1536\r\n" in head + b"\r\n"
    assert b"Authorization: Bearer k\r\n" in head
    assert json.loads(body).get("stream", False) is stream


def test_each_request_has_a_place_for_a_number_so_that_no_cache_answers() -> None:
    request = http_request(model="mock-20-100", stream=False, key="k")
    assert request.count(b"@" * 12) == 1


@pytest.mark.parametrize(("seconds", "streams"), [(0.1, 1), (2, 1), (4, 2), (9, 4), (10, 5)])
def test_every_connection_has_equally_many_streams(seconds: float, streams: int) -> None:
    last_start_s = whole_streams_s(seconds)
    ramp_s = STREAMS * STAGGER_US / 1e6
    assert (streams - 1) * STREAM_S + ramp_s < last_start_s < streams * STREAM_S * 0.99


def test_a_figure_with_a_wrong_answer_in_it_is_refused() -> None:
    with pytest.raises(BenchError, match="nginx: 1 of 10 answers were wrong: status is not 200"):
        checked("nginx", load(errors=1), "status is not 200")


def test_a_figure_without_an_answer_is_refused() -> None:
    with pytest.raises(BenchError):
        checked("nginx", load(requests=0), "")


def test_the_table_shows_the_median_the_range_and_the_ratio_to_envoy() -> None:
    rounds = [round_of(envoy=100.0, nginx=20.0), round_of(envoy=200.0, nginx=60.0)]
    lines = table(rounds).splitlines()
    assert " ".join(lines[2].split()) == "nginx 40.0 (20.0 to 60.0) 0.25 (0.20 to 0.30) 5"


def test_the_table_without_envoy_has_no_ratios() -> None:
    lines = table([round_of(nginx=20.0)]).splitlines()
    assert " ".join(lines[1].split()) == "nginx 20.0 (20.0 to 20.0) 5"


def test_the_costs_are_listed_by_kind_and_system_for_the_budgets() -> None:
    rounds = [round_of(envoy=100.0), round_of(envoy=200.0)]
    assert costs(rounds) == {"json": {"envoy": [100.0, 200.0]}, "sse": {"envoy": [25.0, 50.0]}}


def test_the_json_report_holds_summaries_and_every_round() -> None:
    told = json.loads(json.dumps(as_json([round_of(envoy=100.0), round_of(envoy=200.0)])))
    assert told["cpu_us"]["json"]["envoy"] == {"median": 150.0, "low": 100.0, "high": 200.0}
    assert [r["envoy"]["json"]["load"]["requests"] for r in told["rounds"]] == [10, 10]


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
