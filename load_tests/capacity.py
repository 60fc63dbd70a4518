"""How many processes, partitions, disks and links for how many requests a second.

    python -m load_tests.capacity                               # the tables, from capacity.json
    python -m load_tests.capacity --write docs/capacity.md      # writes them into the document
    python -m load_tests.capacity --measure --seconds 10        # measures costs into capacity.json

A model, not a measurement: costs of one exchange were measured, the rest is arithmetic
(queueing.py). docs/capacity.md says what it leaves out.
"""

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from load_tests.capacity_measure import measured
from load_tests.documents import written_between
from load_tests.processes import FOLDER, BenchError
from load_tests.queueing import Work, in_flight, servers_for, together, utilisation, wait_s

COSTS: Final = FOLDER / "capacity.json"
RATES: Final = (100, 1_000, 10_000, 100_000)
MIB: Final = 1 << 20
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Traffic:
    """What an exchange is: all are alike but for when they come."""

    request_bytes: int = 4096
    events: int = 250
    event_bytes: int = 250
    lasts_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Rules:
    """How full things may be, and how long they keep."""

    gateway_at_most: float = 0.6
    worker_at_most: float = 0.7
    streams_at_most: int = 8_000
    """Of one gateway process: under `gateway.max_connections`, 10,000."""
    partition_mib_s: float = 5.0
    keep_days: float = 7.0
    replicas: int = 3
    """Of each partition of Kafka."""
    spare: int = 1
    """Processes beyond what the load takes, where there may be several."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds of a core, and bytes, for one exchange (or one event of its stream)."""

    gateway_request_s: float
    gateway_event_s: float
    shipper_s: float
    screener_s: float
    enforcer_s: float
    journal_bytes: float
    stream_bytes: float

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> "Costs":
        """Reads capacity.json."""
        us = {name: entry["value"] / 1e6 for name, entry in told["costs_us"].items()}
        return cls(
            us["gateway_request"],
            us["gateway_event"],
            us["shipper_exchange"],
            us["screener_exchange"],
            us["enforcer_exchange"],
            told["bytes"]["journal_exchange"]["value"],
            told["bytes"]["stream_memory"]["value"],
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rate of requests takes."""

    rate: int
    streams: float
    gateways: int
    gateway_utilisation: float
    event_wait_s: float
    shippers: int
    screeners: int
    screener_wait_s: float
    enforcer_utilisation: float
    partitions: int
    journal_bytes_s: float
    journal_bytes_kept: float
    kafka_bytes_kept: float
    network_bytes_s: float
    stream_memory_bytes: float


def gateway_work(rate: float, costs: Costs, traffic: Traffic) -> list[Work]:
    """What gateways do: take requests, and pass on events one by one."""
    return [
        Work(rate, costs.gateway_request_s),
        Work(rate * traffic.events, costs.gateway_event_s),
    ]


def plan(rate: int, costs: Costs, traffic: Traffic, rules: Rules) -> Plan:
    """What so many requests a second take.

    Each gateway process, and each partition's screener, has a queue of its own: the waiting is that
    of M/G/1 at one of them, for nobody takes another's work.
    """
    streams = in_flight(rate, traffic.lasts_s)
    work = together(gateway_work(rate, costs, traffic))
    gateways = rules.spare + max(
        servers_for(work, rules.gateway_at_most), math.ceil(streams / rules.streams_at_most)
    )
    screening = Work(rate, costs.screener_s, 1.0)
    screeners = rules.spare + servers_for(screening, rules.worker_at_most)
    stored = rate * _stored_bytes(costs, traffic)
    return Plan(
        rate=rate,
        streams=streams,
        gateways=gateways,
        gateway_utilisation=utilisation(work, gateways),
        event_wait_s=wait_s(_share(work, gateways)),
        shippers=servers_for(Work(rate, costs.shipper_s), rules.worker_at_most),
        screeners=screeners,
        screener_wait_s=wait_s(_share(screening, screeners)),
        enforcer_utilisation=utilisation(Work(rate, costs.enforcer_s), 1),
        partitions=max(2 * screeners, math.ceil(stored / (rules.partition_mib_s * MIB))),
        journal_bytes_s=stored,
        journal_bytes_kept=stored * DAY_S * rules.keep_days,
        kafka_bytes_kept=stored * DAY_S * rules.keep_days * rules.replicas,
        network_bytes_s=rate * _passed_bytes(traffic) + stored,
        stream_memory_bytes=streams * costs.stream_bytes,
    )


def _share(work: Work, servers: int) -> Work:
    return Work(work.rate / servers, work.mean_s, work.cv2)


def _stored_bytes(costs: Costs, traffic: Traffic) -> float:
    """What an exchange leaves in the journal: as measured, and what this one is larger by.

    The measured one had a request of 1.5 KiB and an answer of 35 words; five characters a token.
    """
    return costs.journal_bytes + traffic.request_bytes - 1536 + 5 * (traffic.events - 35)


def _passed_bytes(traffic: Traffic) -> float:
    """In and out of a gateway: the request twice, the answer twice."""
    return 2.0 * (traffic.request_bytes + traffic.events * traffic.event_bytes)


# Tables


def tables(told: Mapping[str, Any], traffic: Traffic, rules: Rules) -> str:
    """The document's part that is made: costs, and plans for each rate."""
    costs = Costs.read(told)
    plans = [plan(rate, costs, traffic, rules) for rate in RATES]
    return "\n\n".join([_costs_table(told), _plans_table(plans), *_limits(costs, rules)])


def _costs_table(told: Mapping[str, Any]) -> str:
    entries = {**told["costs_us"], **told["bytes"]}
    units = dict.fromkeys(told["costs_us"], "CPU-µs") | dict.fromkeys(told["bytes"], "bytes")
    rows = [
        (f"`{name}`", f"{it['value']:,.0f} {units[name]}", it["source"])
        for name, it in entries.items()
    ]
    return _table(("cost", "measured", "where"), rows)


def _plans_table(plans: Sequence[Plan]) -> str:
    rows = {
        "streams open at once": [f"{it.streams:,.0f}" for it in plans],
        "gateway processes": [f"{it.gateways:,}" for it in plans],
        "their utilisation": [f"{it.gateway_utilisation:.0%}" for it in plans],
        "mean wait of an event at a gateway": [_ms(it.event_wait_s) for it in plans],
        "memory of open streams": [_bytes(it.stream_memory_bytes) for it in plans],
        "shippers, at the least": [f"{it.shippers:,}" for it in plans],
        "screeners (`lexical`)": [f"{it.screeners:,}" for it in plans],
        "mean wait of an exchange for its screener": [_ms(it.screener_wait_s) for it in plans],
        "utilisation of the one enforcer": [_enforcer(it.enforcer_utilisation) for it in plans],
        "partitions of a topic": [f"{it.partitions:,}" for it in plans],
        "written to journals": [f"{_bytes(it.journal_bytes_s)}/s" for it in plans],
        "kept in journals, 7 days": [_bytes(it.journal_bytes_kept) for it in plans],
        "kept in Kafka, 7 days, 3 replicas": [_bytes(it.kafka_bytes_kept) for it in plans],
        "network of all gateways": [f"{it.network_bytes_s * 8 / 1e9:,.2f} Gbit/s" for it in plans],
    }
    heads = ("", *(f"{it.rate:,}/s" for it in plans))
    return _table(heads, [(name, *values) for name, values in rows.items()])


def _limits(costs: Costs, rules: Rules) -> list[str]:
    enforcer = rules.worker_at_most / costs.enforcer_s
    shipper = rules.worker_at_most / costs.shipper_s
    said = (
        f"One enforcer, at {rules.worker_at_most:.0%}, takes {enforcer:,.0f} exchanges a second, "
        f"and one shipper {shipper:,.0f}."
    )
    return [said]


def _enforcer(share: float) -> str:
    return f"{share:.0%}" if share < 1 else f"{share:.0%}: **too much**"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000:
            return f"{count:,.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} PB"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# The command


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures if asked to, and prints or writes the tables."""
    options = _parser().parse_args(arguments)
    told = json.loads(COSTS.read_text())
    if options.measure:
        try:
            told = with_measured(told, measured(options.seconds), _where())
        except BenchError as why:
            print(f"capacity: {why}", file=sys.stderr)
            return 2
        COSTS.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    text = tables(told, Traffic(), Rules())
    if options.write:
        document = options.write.read_text()
        options.write.write_text(written_between(document, "capacity", text))
    else:
        print(text)
    return 0


def with_measured(
    told: Mapping[str, Any], found: Mapping[str, float], where: str
) -> dict[str, Any]:
    """The input, with what was measured in place of what it held."""
    costs = {
        f"{role}_exchange": {"value": round(found[role], 1), "source": where}
        for role in ("shipper", "screener", "enforcer")
    }
    journal = {"value": round(found["journal"]), "source": where}
    return {
        "costs_us": {**told["costs_us"], **costs},
        "bytes": {**told["bytes"], "journal_exchange": journal},
    }


def _where() -> str:
    day = time.strftime("%d %B %Y", time.gmtime()).lstrip("0")
    load = os.getloadavg()[0]
    return f"`--measure` on {day}: {os.cpu_count()} cores, busy (load average {load:.0f})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m load_tests.capacity",
        description="How many processes, partitions, disks and links for how many requests.",
        epilog="example: python -m load_tests.capacity --write docs/capacity.md",
    )
    add = parser.add_argument
    add("--measure", action="store_true", help="measure the workers' costs into capacity.json")
    add("--seconds", type=float, default=10.0, help="of load, with --measure (10)")
    add("--write", type=Path, help="write the tables between the marks of this document")
    return parser


if __name__ == "__main__":
    sys.exit(main())
