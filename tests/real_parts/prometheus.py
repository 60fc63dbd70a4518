"""A real Prometheus from Debian's package, as a child process that scrapes every second.

with Prometheus(folder, {"watchgate": ["127.0.0.1:9464"]}, rules=[path]) as prometheus:
    series = prometheus.ask("up")
"""

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import yaml

from load_tests.processes import answers_200
from tests.real_parts.debian import debian_program
from tests.real_parts.kafka_broker import free_port, wait_until

START_S: Final = 60.0
STOP_S: Final = 30.0
EVERY: Final = "1s"
"""Between two scrapes, and between two evaluations of the rules, whatever these say."""

Series = dict[str, Any]
"""`metric` (its labels), and `values`: pairs of a time and a number as text."""


class QueryFailed(AssertionError):
    """Prometheus refused a query; the text is its own."""


class Prometheus:
    """Runs while it is entered."""

    def __init__(
        self,
        folder: Path,
        jobs: Mapping[str, Sequence[str]],
        rules: Sequence[Path] = (),
        history: str = "",
        alertmanagers: Sequence[str] = (),
    ) -> None:
        """Write its settings: `jobs` are name → addresses, `history` is OpenMetrics text."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.url = f"http://127.0.0.1:{free_port()}"
        self._config = folder / "prometheus.yml"
        config = _config(jobs, [self._hurried(it) for it in rules])
        receivers = [{"static_configs": [{"targets": [*alertmanagers]}]}]
        config["alerting"] = {"alertmanagers": receivers}
        self._config.write_text(yaml.safe_dump(config))
        if history:
            self._remember(history)

    def ask(self, expr: str, *, at: float | None = None) -> list[Series]:
        """Return the series of an instant query, each with one value."""
        given = {"query": expr} | ({} if at is None else {"time": str(at)})
        found = self._get("/api/v1/query", given)
        assert found["resultType"] == "vector", f"{expr}: a {found['resultType']}"
        return [{**it, "values": [it["value"]]} for it in found["result"]]

    def ask_range(self, expr: str, start: float, end: float, step_s: float) -> list[Series]:
        """Return the series of a query over a range of time."""
        given = {"query": expr, "start": str(start), "end": str(end), "step": str(step_s)}
        found: list[Series] = self._get("/api/v1/query_range", given)["result"]
        return found

    def __enter__(self) -> Self:
        program = debian_program("prometheus", "prometheus")
        with (self._folder / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={self._config}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address={self.url.removeprefix('http://')}",
                ],
                stdout=output,
                stderr=output,
            )
        wait_until(self._is_ready, START_S, "Prometheus is ready")
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _hurried(self, rules: Path) -> Path:
        """Copy a file of rules, to be evaluated every second."""
        document = yaml.safe_load(rules.read_text())
        for group in document["groups"]:
            group["interval"] = EVERY
        copy = self._folder / rules.name
        copy.write_text(yaml.safe_dump(document))
        return copy

    def _remember(self, history: str) -> None:
        text = self._folder / "history.txt"
        text.write_text(history)
        promtool = str(debian_program("prometheus", "promtool"))
        command = [promtool, "tsdb", "create-blocks-from", "openmetrics", str(text)]
        subprocess.run(
            [*command, str(self._folder / "data")], check=True, timeout=60, capture_output=True
        )

    def _is_ready(self) -> bool:
        code = self._process.poll()
        log = self._folder / "output.log"
        assert code is None, f"Prometheus ended with code {code}: {log.read_text()[-1000:]}"
        return answers_200(f"{self.url}/-/ready")

    def _get(self, path: str, given: Mapping[str, str]) -> dict[str, Any]:
        url = f"{self.url}{path}?{urllib.parse.urlencode(given)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310  (our own)
                found: dict[str, Any] = json.load(answer)["data"]
                return found
        except urllib.error.HTTPError as answer:
            with answer:
                raise QueryFailed(f"{given['query']}: {json.load(answer)['error']}") from None


def _config(jobs: Mapping[str, Sequence[str]], rules: Sequence[Path]) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": EVERY, "evaluation_interval": EVERY},
        "rule_files": [str(it) for it in rules],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": list(addresses)}]}
            for job, addresses in jobs.items()
        ],
    }
