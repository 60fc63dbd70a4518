"""A site whose dashboards have something to show: Watchgate under traffic, and a Prometheus.

`watchgate up` stands before the mock of vLLM and before one that is away, with a cascade, a shadow,
a judge before a real HTTP guard, an issuer of tokens, points that record and block, and limits.
Beside it Prometheus scrapes vLLM's recorded metrics, and those of processes that this site lacks.
"""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest

from load_tests.systems import mock
from service.telemetry.metrics import Metrics
from tests.deploy.callers import Call, asking
from tests.deploy.dashboard_files import rule_files
from tests.real_parts.exposition import VLLM, Exposition, growing
from tests.real_parts.guard import Guard, said
from tests.real_parts.jwks import key_set, signing_key
from tests.real_parts.kafka_broker import free_port
from tests.real_parts.prometheus import Prometheus
from tests.real_parts.watchgate import MISUSE, Watchgate

UNSAFE: Final = "Safety: Unsafe\nCategories: Violent\nRefusal: No"
WEEK_H: Final = 24 * 7
DRIFTED, STEADY = "drifted", "steady"
"""Two detectors of a screener on another machine: only the first scores other than last week."""
_HOUR_S: Final = 3600
_PAUSE_S: Final = 0.05
_MODELS: Final = {"fast": "mock-0-5", "slow": "mock-5-20"}
_GONE: Final = "gone"
"""A model whose upstream is not there."""
_ALERT: Final = """
groups:
  - name: tests
    rules: [{alert: WatchgateAsTestsWant, expr: vector(1), labels: {severity: page}}]
"""


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of callers: one that may all, one of one model, one of one request a minute."""

    free: str
    narrow: str
    limited: str


@contextmanager
def site(folder: Path) -> Iterator[Prometheus]:
    """Give the Prometheus of a site under traffic; what it knows grows while it is used."""
    with ExitStack() as stack:
        port, _ = stack.enter_context(mock(folder, None))
        guard = stack.enter_context(Guard(lambda _: said(UNSAFE)))
        upstream = f"http://{_address(port)}"
        settings = _settings(folder, upstream, guard.url)
        watchgate = Watchgate(folder / "watchgate", upstream, **settings)
        keys = _keys(watchgate)
        stack.enter_context(watchgate)
        vllm = stack.enter_context(Exposition(growing(VLLM.read_text())))
        others = stack.enter_context(Exposition(OtherProcesses().show))
        jobs = {
            "watchgate": [_address(watchgate.settings["ops"]["port"]), others.address, _nobody()],
            "vllm": [vllm.address, _nobody()],
        }
        alert = folder / "alert.yaml"
        alert.write_text(_ALERT)
        rules = [*rule_files(), alert]
        prometheus = Prometheus(folder / "prometheus", jobs, rules, history(time.time()))
        stack.enter_context(prometheus)
        asks = [partial(call.make, watchgate.port) for call in _calls(keys)]
        stack.enter_context(asking(asks, _PAUSE_S))
        yield prometheus


def _address(port: int) -> str:
    return f"127.0.0.1:{port}"


def _nobody() -> str:
    """Return an address at which nobody listens."""
    return _address(free_port())


def _settings(folder: Path, upstream_url: str, guard_url: str) -> dict[str, Any]:
    (folder / "keys.json").write_bytes(key_set(signing_key("ES256")))
    point = {"detector": "lexical", "category": "any", "part": "prompt"}
    return {
        "models": [
            *({"name": name, "upstream": "local", "upstream_model": real, "tier": 1}
              for name, real in _MODELS.items()),
            {"name": _GONE, "upstream": _GONE, "tier": 1},
        ],
        "detectors": [
            {"kind": "lexical"},
            {"kind": "lexical", "name": "lexical-shadow", "shadow": True},
            {"kind": "rules"},
            {"kind": "judge", "name": "guard", "url": guard_url, "model": "guard",
             "family": "qwen3guard", "prompt_price_per_million": 1_000_000},
            {"kind": "cascade", "name": "suite",
             "stages": [{"detector": "rules"}, {"detector": "guard", "combine": "max"}]},
        ],
        "upstreams": [
            {"name": "local", "url": upstream_url, "probes": {"sockets": str(folder / "probes")}},
            {"name": _GONE, "url": f"http://{_nobody()}"},
        ],
        "operating_points": [
            {**point, "threshold": 0.0, "action": "record"},
            {**point, "threshold": 0.9, "action": "block"},
        ],
        "auth": {
            "issuers": [{
                "name": "corp", "issuer": "https://issuer.example", "audience": "watchgate",
                "algorithms": ["ES256"], "jwks_file": str(folder / "keys.json"),
                "claims": {"project": "sub"}, "projects": {"*": "tokens"},
            }],
        },
    }  # fmt: skip


def _keys(watchgate: Watchgate) -> Keys:
    def made(*rules: str) -> str:
        key: str = json.loads(watchgate.command("keys", "create", *rules, "--json"))["key"]
        return key

    keys = Keys(
        made("--project", "free"),
        made("--project", "narrow", "--models", "slow"),
        made("--project", "limited"),
    )
    watchgate.command("limits", "set", "--project", "limited", "--requests-per-min", "1")
    return keys


def _calls(keys: Keys) -> list[Call]:
    return [
        Call(keys.free, "fast"),
        Call(keys.free, "fast", stream=True),
        Call(keys.free, "slow", stream=True),
        Call(keys.free, "fast", MISUSE),  # blocked
        Call(keys.free, "unheard-of"),
        Call(keys.free, _GONE),
        Call(keys.narrow, "fast"),  # not allowed
        Call(keys.limited, "fast"),  # too many
        Call("sk-wg-nobody", "fast"),
    ]


class OtherProcesses:
    """The metrics of a shipper, and of workers on another machine where much goes wrong."""

    def __init__(self) -> None:
        """Nothing has happened yet."""
        self._registry = CollectorRegistry()
        self._metrics = Metrics(self._registry)

    def show(self) -> bytes:
        """Let something happen, and return the metrics."""
        metrics = self._metrics
        metrics.shipped.labels("exchanges").inc(7)
        metrics.ship_errors.labels("KafkaTimeoutError").inc()
        metrics.upkeep.trace_spans.labels("exported").inc()
        metrics.upkeep.certificate_ends_at.labels("console.tls").set(time.time() + 1e7)
        metrics.score.labels(DRIFTED, "any").observe(0.995)
        metrics.score.labels(STEADY, "any").observe(0.005)
        metrics.requests.labels("chat", "fast", "safeguard_inactive").inc()
        metrics.unscanned.labels("fast", "detector_error").inc()
        metrics.dead_letters.labels("exchanges", "malformed").inc()
        metrics.detector_errors.labels(DRIFTED).inc()
        metrics.detector_reloads.labels(DRIFTED, "refused").inc()
        metrics.alert_deliveries.labels("failed").inc()
        metrics.safeguard_active.labels("fast", "screening_lag").set(0)
        for detector in (DRIFTED, STEADY):
            metrics.verdicts.labels(detector, "any", "none").inc(9)
            metrics.verdicts.labels(detector, "any", "page").inc()
        return generate_latest(self._registry)


def history(now_s: float) -> str:
    """Return the last week of both detectors, hour by hour: all scores up to 0.01."""
    bounds = [*(str(it) for it in _bounds()), "+Inf"]
    lines = ["# TYPE watchgate_score histogram"]
    hours = [int(now_s // _HOUR_S - WEEK_H + h) * _HOUR_S for h in range(WEEK_H)]
    for detector in (DRIFTED, STEADY):
        labels = f'category="any",detector="{detector}",instance="before",job="watchgate"'
        for n, at in enumerate(hours):
            lines += [
                *(f'watchgate_score_bucket{{{labels},le="{it}"}} {10 * n} {at}' for it in bounds),
                f"watchgate_score_count{{{labels}}} {10 * n} {at}",
                f"watchgate_score_sum{{{labels}}} {n / 20} {at}",
            ]
    lines.append("# TYPE watchgate_verdicts counter")
    for action, times in (("none", 9), ("page", 1)):
        labels = f'action="{action}",category="any",detector="{STEADY}",instance="before"'
        lines += [
            f'watchgate_verdicts_total{{{labels},job="watchgate"}} {times * n} {at}'
            for n, at in enumerate(hours)
        ]
    return "\n".join([*lines, "# EOF", ""])


def _bounds() -> list[float]:
    registry = CollectorRegistry()
    Metrics(registry).score.labels("any", "any")
    return [
        float(sample.labels["le"])
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "watchgate_score_bucket" and sample.labels["le"] != "+Inf"
    ]
