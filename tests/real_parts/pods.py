"""The chart's pods as processes of this machine: rendered settings, environment, volumes, stops.

What differs from a cluster is told to each process by its environment: the folder of its volume,
and ports of 127.0.0.1.
"""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from tests.real_parts.helm import ROOT, Object, pods, settings
from tests.real_parts.kafka_broker import free_port, wait_until

START_S: Final = 90.0
STOP_S: Final = 60.0
ROLES: Final = ("gateway", "screener", "enforcer", "shipper", "console")
Process = subprocess.Popen[bytes]


class Pod:
    """The containers of one component, on a volume of their own."""

    def __init__(
        self, objects: Sequence[Object], component: str, folder: Path, secrets: Mapping[str, str]
    ) -> None:
        self.folder = folder / component
        self.folder.mkdir()
        template = dict(pods(objects))[component]
        self.containers = {it["name"]: it for it in template["spec"]["containers"]}
        self.port = free_port()
        self._console_port = free_port()
        self._ops = {role: free_port() for role in ROLES}
        self._config = self.folder / "watchgate.yaml"
        self._config.write_text(settings(objects, component))
        self._secrets = secrets
        self._running: dict[str, Process] = {}

    def start(self) -> None:
        """Start all containers."""
        self._running = {name: self._spawn(it, it["args"]) for name, it in self.containers.items()}

    def run(self, *arguments: str) -> str:
        """Run a command in the first container to its end, as `kubectl exec` does."""
        container = next(iter(self.containers.values()))
        process = self._spawn(container, arguments, stdout=subprocess.PIPE)
        printed, _ = process.communicate(timeout=STOP_S)
        assert process.returncode == 0, self.words()
        return printed.decode()

    def delete(self) -> Sequence[int]:
        """End the pod as the kubelet does; return the codes of preStop hooks and containers.

        All preStop hooks start at once, and a container gets SIGTERM when its own is done.
        """
        hooks = {
            name: self._spawn(it, it["lifecycle"]["preStop"]["exec"]["command"][1:])
            for name, it in self.containers.items()
            if name == "shipper"  # the gateway's would wait for load balancers
        }
        codes = []
        for name in sorted(self._running, key=lambda it: it in hooks):
            if name in hooks:
                codes.append(hooks[name].wait(STOP_S))
            self._running[name].terminate()
            codes.append(self._running[name].wait(STOP_S))
        self._running.clear()
        return codes

    def kill(self) -> None:
        """End whatever still runs."""
        for process in self._running.values():
            process.kill()
            process.wait()

    def wait_ready(self) -> None:
        """Return once all containers say that they are ready."""
        wait_until(
            lambda: all(self._is_ready(name) for name in self._running), START_S, "pods are ready"
        )

    def metric(self, role: str, name: str) -> float:
        """Sum the samples of a metric."""
        families = text_string_to_metric_families(self._ops_answer(role, "/metrics"))
        samples = (sample for family in families for sample in family.samples)
        return sum(sample.value for sample in samples if sample.name == name)

    def words(self) -> str:
        """Return the last that was said."""
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    def _spawn(self, container: Object, arguments: Sequence[str], **options: Any) -> Process:  # noqa: ANN401
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "service.cli", *arguments],
                cwd=ROOT,
                env=self._environment(container),
                stdin=subprocess.DEVNULL,
                **{"stdout": log, "stderr": log, **options},
            )

    def _environment(self, container: Object) -> Mapping[str, str]:
        given = {
            it["name"]: str(it.get("value") or self._secrets[it["name"]]) for it in container["env"]
        }
        plain = {name: it for name, it in os.environ.items() if not name.startswith("WATCHGATE_")}
        return {
            **plain,
            **given,
            "WATCHGATE_CONFIG": str(self._config),
            "WATCHGATE_DATA_DIR": str(self.folder / "data"),
            "WATCHGATE_OPS__PORTS": json.dumps(self._ops),
            "WATCHGATE_OPS__HOST": "127.0.0.1",
            "WATCHGATE_GATEWAY__HOST": "127.0.0.1",
            "WATCHGATE_GATEWAY__PORT": str(self.port),
            "WATCHGATE_CONSOLE__HOST": "127.0.0.1",
            "WATCHGATE_CONSOLE__PORT": str(self._console_port),
        }

    def _is_ready(self, role: str) -> bool:
        assert self._running[role].poll() is None, self.words()
        with suppress(OSError):
            return bool(json.loads(self._ops_answer(role, "/ready"))["ready"])
        return False

    def _ops_answer(self, role: str, path: str) -> str:
        url = f"http://127.0.0.1:{self._ops[role]}{path}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())
