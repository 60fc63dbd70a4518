"""Metrics of several processes as `watchgate up` merges them, from real processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from service.supervisor import METRICS_FOLDER, forget_gauges

PROGRAM = """
import json, os, sys
from service.telemetry.metrics import name_metrics
name_metrics(sys.argv[1])
from prometheus_client import CollectorRegistry
from service.telemetry.metrics import Metrics

metrics, told = Metrics(CollectorRegistry()), json.loads(sys.argv[2])
metrics.served.labels("m").inc(told["served"])
for seconds in told["appends"]:
    metrics.journal_append.observe(seconds)
metrics.in_flight.set(told["in_flight"])
metrics.upstream_up.labels("u", "r").set(told["up"])
metrics.snapshot_age.set(told["age"])
os.kill(os.getpid(), 9)
"""


class Merged:
    """What processes left in a folder, each of them killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, name: str, **told: object) -> None:
        """Let a process count, and be killed."""
        environment = {**os.environ, METRICS_FOLDER: str(self.folder)}
        given = {"served": 0, "appends": [], "in_flight": 0, "up": 1, "age": 0.0, **told}
        command = [sys.executable, "-c", PROGRAM, name, json.dumps(given)]
        assert subprocess.run(command, env=environment, check=False).returncode == -9

    def value(self, name: str, **labels: str) -> float | None:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(self.folder))  # type: ignore[no-untyped-call]
        return registry.get_sample_value(f"watchgate_{name}", labels)

    def files(self) -> list[str]:
        return sorted(it.name for it in self.folder.iterdir())


@pytest.fixture
def merged(tmp_path: Path) -> Merged:
    return Merged(tmp_path)


def test_counts_add_up_and_gauges_are_put_together_each_in_its_way(merged: Merged) -> None:
    merged.run("gateway-0", served=3, appends=[0.001, 2], in_flight=2, up=1, age=1.5)
    merged.run("gateway-1", served=4, appends=[0.001], in_flight=5, up=0, age=4.5)
    assert merged.value("exchanges_served_total", model="m") == 7
    assert merged.value("journal_append_seconds_count") == 3
    assert merged.value("journal_append_seconds_bucket", le="0.001") == 2
    assert merged.value("in_flight_requests") == 7  # all together
    assert merged.value("upstream_up", upstream="u", replica="r") == 0  # the worse
    assert merged.value("snapshot_age_seconds") == 4.5  # the older


def test_what_was_killed_goes_on_counting_where_it_was_under_the_same_files(
    merged: Merged,
) -> None:
    merged.run("gateway-0", served=3, appends=[0.001], in_flight=2)
    files = merged.files()
    for _ in range(2):
        forget_gauges(merged.folder, "gateway-0")
        merged.run("gateway-0", served=3, appends=[0.001], in_flight=2)
    assert merged.value("exchanges_served_total", model="m") == 9
    assert merged.value("journal_append_seconds_count") == 3
    assert merged.value("in_flight_requests") == 2
    assert merged.files() == files


def test_what_a_dead_process_said_of_the_moment_is_forgotten_and_its_counts_are_not(
    merged: Merged,
) -> None:
    merged.run("gateway-0", served=3, in_flight=2, up=0)
    merged.run("gateway-1", served=4, in_flight=5, up=1)
    forget_gauges(merged.folder, "gateway-0")
    assert merged.value("exchanges_served_total", model="m") == 7
    assert merged.value("in_flight_requests") == 5
    assert merged.value("upstream_up", upstream="u", replica="r") == 1
    forget_gauges(merged.folder, "gateway-1")
    assert merged.value("in_flight_requests") is None
    assert merged.value("exchanges_served_total", model="m") == 7
