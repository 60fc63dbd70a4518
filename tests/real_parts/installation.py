"""A whole installation in real processes: `watchgate up` in front of the benchmark's mock."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any, Final, Self

from prometheus_client.parser import text_string_to_metric_families

from load_tests.processes import free_port
from load_tests.systems import mock
from service.events.journal import read_topic
from service.events.log import Topic
from service.events.schema import AnyEvent, Closed, Opened, Verdict, to_event
from service.store import open_store
from service.store.alerts import list_alerts
from tests.real_parts.serving import until

ROOT: Final = Path(__file__).resolve().parents[2]
START_S: Final = 90.0
STOP_S: Final = 60.0
PAGE_ALWAYS: Final = (
    {"detector": "lexical", "category": "any", "part": "prompt", "threshold": 0, "action": "page"},
)
"""A threshold that every prompt reaches: what is tested is that each is acted on once."""


class Installation:
    """Settings in a folder, and the processes that run by them.

    Models: `fast` streams five chunks at once, `slow` a hundred in ten seconds.
    """

    def __init__(self, folder: Path, upstream_port: int, **settings: Any) -> None:  # noqa: ANN401
        self.folder = folder
        self.data_dir = folder / "var"
        self.config = folder / "watchgate.json.yaml"
        self.ports = {name: free_port() for name in ("gateway", "console", "ops")}
        self.config.write_text(json.dumps(self._settings(upstream_port) | settings))
        self.log = folder / "up.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.key = ""
        self.admin_token = ""

    def _settings(self, upstream_port: int) -> dict[str, Any]:
        upstream = {"name": "local", "url": f"http://127.0.0.1:{upstream_port}"}
        models = {"fast": "mock-0-5", "slow": "mock-100-100"}
        return {
            "data_dir": "var",
            "gateway": {"port": self.ports["gateway"], "drain_s": 5},
            "console": {"port": self.ports["console"]},
            "ops": {"port": self.ports["ops"]},
            "upstreams": [upstream],
            "models": [
                {"name": name, "upstream": "local", "upstream_model": real, "tier": 1}
                for name, real in models.items()
            ],
            "operating_points": list(PAGE_ALWAYS),
        }

    # Processes

    def __enter__(self) -> Self:
        self.start()
        self.key = json.loads(self.command("keys", "create", "--project", "test").stdout)["key"]
        until(lambda: self.chat_status() != 401, START_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything, and wait until it is ready."""
        self.process = self.spawn("up")
        process = self.process
        until(lambda: process.poll() is not None or self.is_ready(), START_S)
        assert process.poll() is None, self.words()

    def spawn(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command, its words in the log."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "service.cli", *arguments, "--config", str(self.config)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "service.cli", *arguments, "--config", str(self.config)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def stop(self) -> int:
        """Stop everything as an operator does; return the exit code."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        children = _children(process.pid)
        process.terminate()
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            for pid in [process.pid, *children]:
                _kill(pid)
            raise

    def pids(self) -> Mapping[str, int]:
        """Return the process of each role that runs."""
        assert self.process is not None
        found: dict[str, int] = {}
        for pid in _children(self.process.pid):
            words = _words_of(pid)
            if "service.cli" in words:
                found[words[words.index("service.cli") + 1]] = pid
        return found

    def kill(self, role: str) -> int:
        """Kill a process as nothing can prevent; return which it was."""
        until(lambda: role in self.pids(), START_S)
        pid = self.pids()[role]
        _kill(pid)
        return pid

    def wait_restarted(self, role: str, old: int) -> None:
        """Wait until the supervisor has started a role again and everything is ready."""
        until(lambda: self.pids().get(role, old) != old and self.is_ready(), START_S)

    def words(self) -> str:
        """Return the last that was said."""
        return self.log.read_text(errors="replace")[-4000:]

    # What it answers

    def ready(self) -> tuple[int, Any]:
        """Ask the common /ready; status 0: nobody answers."""
        try:
            return get(f"http://127.0.0.1:{self.ports['ops']}/ready")
        except OSError:
            return 0, None

    def is_ready(self) -> bool:
        """Say whether every process is."""
        return self.ready()[0] == 200

    def metric(self, name: str, **labels: str) -> float:
        """Sum the samples of a metric that have these labels."""
        url = f"http://127.0.0.1:{self.ports['ops']}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def admin(
        self,
        path: str,
        token: str | None = None,
        body: object = None,
        method: str | None = None,
    ) -> tuple[int, Any]:
        """Ask the admin API, with a token of the role admin if no other is given.

        With a body it is a POST, unless it is said to be another method.
        """
        if token is None:
            token = self.admin_token = self.admin_token or self._bootstrap()
        url = f"http://127.0.0.1:{self.ports['console']}{path}"
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return get(url, headers, body, method)

    def _bootstrap(self) -> str:
        done = self.command("admin", "bootstrap", "--again", "--json")
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["token"])

    def open_chat(
        self, words: str, *, model: str = "fast", stream: bool = False
    ) -> tuple[HTTPConnection, HTTPResponse]:
        """Send a chat request; give the connection and the answer that has begun."""
        connection = HTTPConnection("127.0.0.1", self.ports["gateway"], timeout=30)
        body = {
            "model": model,
            "stream": stream,
            "messages": [{"role": "user", "content": words}],
        }
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        return connection, connection.getresponse()

    def chat(self, words: str, *, model: str = "fast", stream: bool = False) -> str:
        """Send a chat request, read all of the answer, and return the exchange's id."""
        connection, answer = self.open_chat(words, model=model, stream=stream)
        body = answer.read()
        connection.close()
        assert answer.status == 200, (answer.status, body, self.words())
        if stream:
            assert body.endswith(b"data: [DONE]\n\n"), body
        return answer.headers["x-watchgate-receipt"]

    def chat_status(self) -> int:
        """Return the status of a chat request."""
        connection, answer = self.open_chat("is the key known yet")
        answer.read()
        connection.close()
        return answer.status

    # What it kept

    def events(self, *topics: Topic) -> list[AnyEvent]:
        """Return all events of the journals."""
        root = self.data_dir / "journal"
        return [to_event(one.record) for topic in topics for one in read_topic(root, topic)]

    def verdicts(self) -> list[Verdict]:
        """Return all verdicts, as often as they are there."""
        return [event for event in self.events(Topic.VERDICTS) if isinstance(event, Verdict)]

    def of_exchange(self, exchange_id: str) -> Sequence[Opened | Closed]:
        """Return the events of one exchange."""
        return [
            event
            for event in self.events(Topic.EXCHANGES)
            if event.exchange_id == exchange_id and not isinstance(event, Verdict)
        ]

    def alert_count(self) -> int:
        """Count what alerts were raised for."""
        store = open_store(f"sqlite:///{self.data_dir}/watchgate.db")
        try:
            with store.read() as connection:
                return sum(alert.count for alert in list_alerts(connection, resolved=True))
        finally:
            store.close()


@contextmanager
def installation(folder: Path, **settings: Any) -> Iterator[Installation]:  # noqa: ANN401
    """Run everything in front of a mock of its own."""
    with mock(folder, None) as (port, _), Installation(folder, port, **settings) as one:
        yield one


def get(
    url: str,
    headers: Mapping[str, str] | None = None,
    body: object = None,
    method: str | None = None,
) -> tuple[int, Any]:
    """Ask for JSON; return the status too, whatever it is."""
    given = {**(headers or {}), "content-type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, given, method=method)  # noqa: S310  (our own)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, json.load(answer)


def _children(pid: int) -> list[int]:
    try:
        tasks = [*Path(f"/proc/{pid}/task").iterdir()]
        return [int(word) for task in tasks for word in (task / "children").read_text().split()]
    except FileNotFoundError:
        return []


def _words_of(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
