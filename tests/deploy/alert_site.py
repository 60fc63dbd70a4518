"""A site to break: Watchgate's processes, all that they need, and a Prometheus that tells of it."""

import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml

from load_tests.systems import mock
from service.events.journal import Journal, Limits
from service.events.log import Record, Topic
from tests.deploy.callers import Call, ask
from tests.deploy.hurried import hurried
from tests.real_parts.alertmanager import Alertmanager, Pager, alertmanager
from tests.real_parts.exposition import VLLM, Exposition, growing
from tests.real_parts.helm import CHART
from tests.real_parts.kafka_broker import free_port, wait_until
from tests.real_parts.prometheus import Prometheus
from tests.real_parts.redis import RedisServer, redis_server
from tests.real_parts.tcp_gate import TcpGate
from tests.real_parts.watchgate import MISUSE, Watchgate

ROLES: Final = ("gateway", "screener", "enforcer", "console")
SCRAPED_S: Final = 60.0
WRITES_S: Final = 5.0
"""Another process has written by then, unless it waits for the one that was stopped."""
LONG_WINDOWS: Final = frozenset({"slos.yaml", "usual.yaml"})
"""Rules over hours and weeks: promtool alone can tell of those."""
OF_THE_MACHINE: Final = frozenset({"WatchgateJournalDiskLow", "WatchgateJournalDiskFull"})
"""Its disk may be nearly full, and fill: that is nothing of this site's."""
POINT: Final = {"detector": "lexical", "category": "any", "threshold": 0.9}
RULE: Final = {
    "id": "marigold",
    "description": "A word of tests.",
    "category": "other",
    "parts": ["prompt"],
    "probability": 0.5,
    "pattern": "marigold",
    "tests": {"match": ["a marigold"], "no_match": ["a rose"]},
}


@dataclass(frozen=True)
class Site:
    """The parts, each of which may be taken away."""

    folder: Path
    watchgate: Watchgate
    vllm: TcpGate
    vllm_metrics: TcpGate
    redis: RedisServer
    misuse_alerts: TcpGate
    """On the way from Watchgate to its Alertmanager."""
    prometheus: Prometheus
    pager: Pager
    manager: Alertmanager

    @property
    def house_rules(self) -> Path:
        """A file of the detector `rules`, which is looked at every two seconds."""
        return self.folder / "house-rules.yaml"

    def signal(self, role: str, number: signal.Signals) -> None:
        """Send a signal to a process."""
        os.kill(self.watchgate.pid(role), number)

    def stand_still(self, role: str) -> None:
        """Stop a process, but not amid a write to the store: that would stop all others with it."""
        while True:
            self.signal(role, signal.SIGSTOP)
            if self._store_takes_writes():
                return
            self.signal(role, signal.SIGCONT)
            time.sleep(0.1)

    def _store_takes_writes(self) -> bool:
        with closing(sqlite3.connect(self._database, timeout=WRITES_S)) as database:
            try:
                database.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError:
                return False
            return True

    @property
    def _database(self) -> str:
        url: str = self.watchgate.settings["store"]["url"]
        return url.removeprefix("sqlite:///")

    def append_unreadable(self) -> None:
        """Leave a record that nobody understands where the workers read."""
        journal = Journal(self.watchgate.journals / "gateway-9", limits=Limits())
        record = Record(Topic.EXCHANGES, b"project", "opened", "ex-unreadable", b"{\xff")
        journal.append_all([record])
        journal.close()

    def write_rules(self) -> None:
        """Put the file of rules in place as it should be."""
        _write_rules(self.house_rules)

    def write_to_the_store(self, statements: str) -> None:
        """Change the database as nobody should."""
        with closing(sqlite3.connect(self._database)) as database, database:
            database.executescript(statements)

    def firing(self) -> frozenset[tuple[str, str]]:
        """Name the alerts that fire now, each with its severity."""
        found = self.prometheus.ask('ALERTS{alertstate="firing"}')
        return frozenset((it["metric"]["alertname"], it["metric"]["severity"]) for it in found)


@dataclass(frozen=True)
class Callers:
    """What callers, good ones and bad ones, ask."""

    steady: list[Callable[[], object]]
    wrong_keys: Callable[[], object]
    wrong_admin_tokens: Callable[[], object]
    not_allowed: Callable[[], object]
    too_many: Callable[[], object]


@contextmanager
def site(folder: Path) -> Iterator[tuple[Site, Callers]]:
    """Start everything; all is well."""
    with ExitStack() as stack:
        mock_port, _ = stack.enter_context(mock(folder, None))
        manager, pager = stack.enter_context(alertmanager(folder / "alertmanager"))
        manager.start()
        shown = stack.enter_context(Exposition(growing(VLLM.read_text())))
        gates = [
            _gate(stack, port)
            for port in (mock_port, int(shown.address.rpartition(":")[2]), manager.port)
        ]
        redis = stack.enter_context(redis_server(folder / "redis"))
        _write_rules(folder / "house-rules.yaml")
        url = f"http://{_address(gates[0].port)}"
        watchgate = Watchgate(folder / "watchgate", url, **_settings(folder, redis.url, gates))
        callers = _callers(watchgate)
        watchgate.start(*ROLES)
        stack.callback(watchgate.stop)
        jobs = {
            "watchgate": [_address(watchgate.ops_port(role)) for role in ROLES],
            "vllm": [_address(gates[1].port)],
        }
        rules = [
            hurried(it, folder / "rules", OF_THE_MACHINE)
            for it in sorted((CHART / "rules").glob("*.yaml"))
            if it.name not in LONG_WINDOWS
        ]
        prometheus = Prometheus(
            folder / "prometheus", jobs, rules, alertmanagers=[_address(manager.port)]
        )
        stack.enter_context(prometheus)
        wait_until(lambda: _all_is_well(prometheus), SCRAPED_S, "Prometheus finds all well")
        vllm, vllm_metrics, misuse_alerts = gates
        yield (
            Site(
                folder, watchgate, vllm, vllm_metrics, redis, misuse_alerts,
                prometheus, pager, manager,
            ),
            callers,
        )  # fmt: skip


def _all_is_well(prometheus: Prometheus) -> bool:
    """Prometheus looks at its targets for the first time five seconds after it has started."""
    return len(prometheus.ask("up == 1")) == len(ROLES) + 1 and not prometheus.ask("ALERTS")


def _write_rules(path: Path) -> None:
    path.write_text(yaml.safe_dump({"rules": [RULE]}))


def _address(port: int) -> str:
    return f"127.0.0.1:{port}"


def _gate(stack: ExitStack, port: int) -> TcpGate:
    gate = TcpGate(("127.0.0.1", free_port()), ("127.0.0.1", port))
    gate.open()
    stack.callback(gate.shut)
    return gate


def _settings(folder: Path, redis_url: str, gates: list[TcpGate]) -> dict[str, Any]:
    vllm, _, misuse_alerts = gates
    url = f"http://{_address(vllm.port)}"
    return {
        "upstreams": [{"name": "local", "url": url, "health_interval_s": 1}],
        "models": [
            {"name": name, "upstream": "local", "upstream_model": "mock-0-5", "tier": 2}
            for name in ("chat", "other")
        ],
        "detectors": [
            {"kind": "lexical"},
            {"kind": "rules", "files": [str(folder / "house-rules.yaml")]},
        ],
        "operating_points": [
            {**POINT, "part": "prompt", "action": "page"},
            {**POINT, "part": "answer", "action": "block"},
        ],
        "limits": {"kind": "redis", "url": redis_url, "gateways": 1},
        "alerts": {
            "alertmanagers": [f"http://{_address(misuse_alerts.port)}"],
            "resend_s": 1,
            "hold_s": 60,
        },
    }


def _callers(watchgate: Watchgate) -> Callers:
    def key(project: str, *options: str, requests_per_min: int = 1_000_000) -> str:
        words = ("keys", "create", "--project", project, *options, "--json")
        made: str = json.loads(watchgate.command(*words))["key"]
        number = str(requests_per_min)
        watchgate.command("limits", "set", "--project", project, "--requests-per-min", number)
        return made

    port = watchgate.port
    steady, narrow = key("steady"), key("narrow", "--models", "chat")
    limited = key("limited", requests_per_min=1)
    calls = [
        Call(steady, "chat"),
        Call(steady, "other", stream=True),
        Call(steady, "chat", MISUSE),
    ]
    return Callers(
        [partial(call.make, port) for call in calls],
        partial(Call("sk-wg-nobody", "chat").make, port),
        partial(ask, watchgate.settings["console"]["port"], "GET", "/admin/v1/keys", "wrong"),
        partial(Call(narrow, "other").make, port),
        partial(Call(limited, "chat").make, port),
    )
