"""What each process takes for an exchange, and what an exchange leaves on the disk: measured.

`watchgate up` under the benchmarks' own load client: 16 connections, a body of 1.5 KiB, an answer
of 35 words. CPU time is the kernel's count for each process, less what it took in as long a time
while there was nothing to do. Workers are measured where they read the journal: with the broker of
the tests they take a good part of a core while there is nothing to read, which says nothing of a
real one. The shipper is measured with it.
"""

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from load_tests.counters import COUNTERS
from load_tests.cpu import tree_cpu_us
from load_tests.measure import Client
from load_tests.processes import CACHE, BenchError
from load_tests.systems import Running, mock
from load_tests.workloads import JSON
from tests.e2e.evidence import kafka_log
from tests.real_parts.kafka_broker import KafkaBroker
from tests.real_parts.watchgate import Watchgate

ON_ONE_MACHINE: Final = ("gateway", "screener", "enforcer")
ROLES: Final = (*ON_ONE_MACHINE, "shipper")
CATCH_UP_S: Final = 180.0
IDLE_S: Final = 8.0


def measured(seconds: float, parent: Path = CACHE) -> dict[str, float]:
    """CPU-µs for each exchange by role, and `journal` bytes for each exchange."""
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="capacity-", dir=parent) as name:
        folder = Path(name).resolve()
        with mock(folder, None) as (port, _):
            found = _on(folder / "journal", port, ON_ONE_MACHINE, seconds)
            with KafkaBroker(folder / "broker") as broker:
                log = {"event_log": kafka_log(broker)}
                over_kafka = _on(folder / "kafka", port, ROLES, seconds, **log)
    return found | {"shipper": over_kafka["shipper"]}


def _on(
    folder: Path, mock_port: int, roles: Sequence[str], seconds: float, **sections: object
) -> dict[str, float]:
    model = {"name": JSON.model, "upstream": "local", "tier": 1}
    url = f"http://127.0.0.1:{mock_port}"
    watchgate = Watchgate(folder, url, models=[model], **sections)
    key = watchgate.create_key("capacity")
    with watchgate:
        return _measured(watchgate, key, roles, seconds)


def _measured(
    watchgate: Watchgate, key: str, roles: Sequence[str], seconds: float
) -> dict[str, float]:
    system = Running("watchgate", watchgate.port, watchgate.pid("gateway"), key)
    client = Client(watchgate.folder, None)
    client.load(JSON, system, 1.0)
    _settle(watchgate)
    idle = _Reading.of(watchgate, roles)
    time.sleep(IDLE_S)
    before = _Reading.of(watchgate, roles)
    load = client.load(JSON, system, seconds)
    _settle(watchgate)
    after = _Reading.of(watchgate, roles)
    return {name: after.beyond(before, idle, name) / load.requests for name in after.spent}


@dataclass(frozen=True, slots=True)
class _Reading:
    """CPU-µs of each role and bytes of each log, since they began; and when that was."""

    at: float
    spent: Mapping[str, float]

    @classmethod
    def of(cls, watchgate: Watchgate, roles: Sequence[str]) -> "_Reading":
        spent = {role: tree_cpu_us(watchgate.pid(role)) for role in roles}
        return cls(time.monotonic(), spent | {"journal": _size(watchgate.journals)})

    def beyond(self, before: "_Reading", idle: "_Reading", name: str) -> float:
        """What was spent since `before`, less what an idle process would have spent."""
        idle_rate = (before.spent[name] - idle.spent[name]) / (before.at - idle.at)
        return self.spent[name] - before.spent[name] - idle_rate * (self.at - before.at)


def _size(folder: Path) -> float:
    return float(
        sum(
            (Path(where) / name).stat().st_size
            for where, _, names in os.walk(folder)
            for name in names
        )
    )


def _settle(watchgate: Watchgate) -> None:
    """Waits until everything is shipped and screened."""
    deadline = time.monotonic() + CATCH_UP_S
    while time.monotonic() < deadline:
        samples = watchgate.metrics()
        counts = {samples.total(f"exchanges_{name}_total") for name in COUNTERS}
        if len(counts) == 1 and not samples.total("consumer_lag_records"):
            return
        time.sleep(0.5)
    raise BenchError(f"not all was screened {CATCH_UP_S:g} s after the load: {counts}")
