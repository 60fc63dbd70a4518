"""A real Alertmanager from Debian's package, as a child process, and a pager that it calls.

Debian's build reads its templates from a folder that only an installation makes. Where nothing
is installed, a copy of the program is made in which that path is one of the same length that
means the working folder: this takes neither root nor namespaces.
"""

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self

from tests.real_parts.debian import debian_program
from tests.real_parts.kafka_broker import free_port, wait_until

START_S: Final = 30.0
STOP_S: Final = 20.0
_TEMPLATES: Final = Path("/usr/share/prometheus/alertmanager")
_CONFIG: Final = """
route: {{receiver: pager, group_by: [alertname, model], group_wait: 0s, group_interval: 1s}}
receivers: [{{name: pager, webhook_configs: [{{url: "{url}", send_resolved: true}}]}}]
"""


class Pager:
    """What would wake somebody up: keeps the notifications that an Alertmanager sends."""

    def __init__(self) -> None:
        self.notifications: list[dict[str, Any]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self.notifications))
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/"

    def heard(self, status: str) -> list[dict[str, Any]]:
        """Return the alerts of all notifications so far that have this status."""
        alerts = [alert for note in list(self.notifications) for alert in note["alerts"]]
        return [alert for alert in alerts if alert["status"] == status]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Alertmanager:
    """An Alertmanager on one port for all its life."""

    def __init__(self, folder: Path, pager: Pager) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._config = folder / "alertmanager.yml"
        self._config.write_text(_CONFIG.format(url=pager.url))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and return once it is ready."""
        program, templates = _program()
        with (self._folder / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={self._config}",
                    f"--storage.path={self._folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    "--cluster.listen-address=",
                ],
                cwd=templates,
                stdout=output,
                stderr=output,
            )
        wait_until(self._is_ready, START_S, "Alertmanager is ready")

    def stop(self) -> None:
        """Stop it cleanly."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that it shows, as its API does."""
        status, body = self._get("/api/v2/alerts")
        assert status == 200, f"Alertmanager answered with {status}"
        found: list[dict[str, Any]] = json.loads(body)
        return found

    def shows(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert with these labels fires there."""
        return any(labels.items() <= alert["labels"].items() for alert in self.alerts())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def _is_ready(self) -> bool:
        assert self._process is not None
        code = self._process.poll()
        log = self._folder / "output.log"
        assert code is None, f"Alertmanager ended with code {code}: {log.read_text()[-500:]}"
        with contextlib.suppress(OSError):
            return self._get("/-/ready")[0] == 200
        return False

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@contextlib.contextmanager
def alertmanager(folder: Path) -> Iterator[tuple[Alertmanager, Pager]]:
    """Give an Alertmanager, not started yet, with its pager; stop both after the block."""
    with Pager() as pager, Alertmanager(folder, pager) as one:
        yield one, pager


def _program() -> tuple[Path, Path]:
    """Return the program and the folder of its templates, in which it is to be started."""
    program = debian_program("prometheus-alertmanager", "prometheus-alertmanager").resolve()
    if (_TEMPLATES / "default.tmpl").exists():
        return program, _TEMPLATES
    root = program.parents[2]
    relocated = root.parent / "relocated-alertmanager"
    if not relocated.exists():
        _relocate(program, relocated)
    return relocated, root / _TEMPLATES.relative_to("/")


def _relocate(program: Path, copy: Path) -> None:
    built_in = bytes(_TEMPLATES)
    here = b"./" * (len(built_in) // 2)
    assert len(here) == len(built_in)
    draft = copy.with_suffix(f".{os.getpid()}")
    draft.write_bytes(program.read_bytes().replace(built_in, here))
    draft.chmod(0o755)
    draft.rename(copy)


def _handler_for(notifications: list[dict[str, Any]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            notifications.append(json.loads(self.rfile.read(length)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            pass

    return Handler
