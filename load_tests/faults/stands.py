"""The stands: the ways to run Watchgate under which the faults are brought about."""

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pytest

from load_tests.faults.callers import Caller
from load_tests.faults.stand import NotRunError, Stand
from load_tests.systems import mock
from tests.e2e.evidence import KafkaContents, kafka_log
from tests.real_parts.kafka_broker import KafkaBroker, free_port
from tests.real_parts.postgres import PostgresServer
from tests.real_parts.redis import RedisServer, clock_library
from tests.real_parts.stalled_disk import StalledDisk
from tests.real_parts.tcp_gate import TcpGate
from tests.real_parts.watchgate import Watchgate

MIB: Final = 1 << 20
CALLERS: Final = 24
PROJECTS: Final = tuple(f"project-{number}" for number in range(4))
SMALL_DISK_MIB: Final = 96
UPSTREAM_SILENCE_S: Final = 5.0
MODELS: Final = (("baseline", 1), ("elevated", 2))
STREAMS: Final = "mock-100-15"
"""Fifteen events, one every 100 ms."""


def _point(part: str, threshold: float, action: str) -> dict[str, Any]:
    return {
        "detector": "lexical",
        "category": "any",
        "part": part,
        "threshold": threshold,
        "action": action,
    }


SECTIONS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "models": [
            {"name": name, "upstream": "local", "upstream_model": STREAMS, "tier": tier}
            for name, tier in MODELS
        ],
        "operating_points": [
            _point("prompt", 0.9, "page"),
            _point("answer", 0.999, "block") | {"models": ["elevated"]},
        ],
        "screening": {"tiers": {2: {"answer": {"window_chars": 40}}}},
        "journal": {"segment_bytes": 4 * MIB, "reserve_bytes": 2 * MIB, "max_queue_bytes": MIB},
    }
)


def _stand(stack: ExitStack, folder: Path, home: Path | None = None, **sections: Any) -> Stand:  # noqa: ANN401
    """Watchgate, not started, in front of the mock, with a line between them that can be bad."""
    vllm_port, _ = stack.enter_context(mock(folder, None))
    port = free_port()
    line = TcpGate(("127.0.0.1", port), ("127.0.0.1", vllm_port))
    line.open()
    stack.callback(line.shut)
    url = f"http://127.0.0.1:{port}"
    upstream = {"name": "local", "url": url, "read_timeout_s": UPSTREAM_SILENCE_S}
    given = {**SECTIONS, "upstreams": [upstream], **sections}
    watchgate = Watchgate(home or folder / "watchgate", url, **given)
    keys = [watchgate.create_key(project) for project in PROJECTS]
    callers = tuple(
        Caller(f"caller-{it}", watchgate.port, keys[it % len(keys)], MODELS[it // 4 % 2][0])
        for it in range(CALLERS)
    )
    return Stand(folder, watchgate, line, callers)


@contextmanager
def local(folder: Path) -> Iterator[Stand]:
    """One machine: `watchgate up`, the journal as event log, SQLite, a clock that can be set.

    The disk under the gateway's journal can be made to hang.
    """
    with ExitStack() as stack:
        stand = _stand(stack, folder)
        with pytest.MonkeyPatch.context() as patch:
            disk = StalledDisk(folder, stand.watchgate.journals / "gateway-0", patch)
            libraries = f"{os.environ['LD_PRELOAD']}:{clock_library(folder)}"
            shift = folder / "shift"
            shift.write_text("0")
            patch.setenv("LD_PRELOAD", libraries)
            patch.setenv("CLOCK_SHIFT", str(shift))
            stack.enter_context(stand.watchgate)
        stand.parts |= {"disk": disk, "clock": shift}
        yield stand


@contextmanager
def small_disk(folder: Path) -> Iterator[Stand]:
    """One machine whose disk holds some MiB, which can be filled."""
    with ExitStack() as stack:
        disk = folder / "disk"
        disk.mkdir()
        stack.enter_context(_mounted(disk))
        stand = _stand(stack, folder, disk / "watchgate")
        stack.enter_context(stand.watchgate)
        stand.parts["small_disk"] = disk
        yield stand


@contextmanager
def over_kafka(folder: Path) -> Iterator[Stand]:
    """`watchgate up` with Kafka as event log; a bad line, or none, can be before the broker."""
    with ExitStack() as stack:
        broker = stack.enter_context(KafkaBroker(folder / "broker"))
        stand = _stand(stack, folder, event_log=kafka_log(broker))
        stack.enter_context(stand.watchgate)
        contents = stack.enter_context(KafkaContents(stand.watchgate))
        stand.parts |= {"broker": broker, "contents": contents}
        stack.enter_context(stand.closing)
        yield stand


@contextmanager
def over_services(folder: Path) -> Iterator[Stand]:
    """`watchgate up` with the store in PostgreSQL and limits counted in Redis."""
    with ExitStack() as stack:
        postgres = stack.enter_context(PostgresServer(durable=True))
        redis = stack.enter_context(RedisServer(folder / "redis"))
        stand = _stand(
            stack,
            folder,
            store={"url": postgres.new_database()},
            limits={"kind": "redis", "url": redis.url, "gateways": 1},
        )
        for project in PROJECTS:
            limit = ("--project", project, "--requests-per-min", "100000")
            stand.watchgate.command("limits", "set", *limit)
        stack.enter_context(stand.watchgate)
        stand.parts |= {"postgres": postgres, "redis": redis}
        yield stand


@contextmanager
def _mounted(folder: Path) -> Iterator[None]:
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_MIB}m", "none", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise NotRunError("a small disk is needed, and mounting one needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


STANDS: Final[Mapping[str, Callable[[Path], AbstractContextManager[Stand]]]] = MappingProxyType(
    {
        "one machine": local,
        "small disk": small_disk,
        "Kafka": over_kafka,
        "PostgreSQL and Redis": over_services,
    }
)
