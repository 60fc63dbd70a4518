"""A short form of `make soak`: callers and upstreams end in all ways; memory is not judged."""

from pathlib import Path

from load_tests.soak import Plan, soak


def test_every_exchange_is_closed_and_screened_though_callers_vanish_and_vllm_resets(
    tmp_path: Path,
) -> None:
    report = soak(Plan(streams=100, seconds=10, interval_ms=200, chunks=10), tmp_path)
    assert report.problems == [], report.figures
    assert report.figures["ended"].keys() == {"completed", "vanished", "broken"}
