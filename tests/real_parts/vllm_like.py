"""A real HTTP server that answers as vLLM 0.32 does to whoever only knocks: no model behind it.

What a model would say may be scripted: `answers`.

with VllmLike(key="k", dev_mode=True) as vllm:
    ... knock at vllm.url ...
"""

import json
import ssl
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

GUARDED: Final = ("/v1", "/v2", "/inference", "/cohere")
"""What vLLM's --api-key guards."""
POSTS: Final = frozenset(
    {
        "/invocations",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/messages",
        "/inference/v1/generate",
        "/generative_scoring",
        "/tokenize",
        "/detokenize",
        "/scale_elastic_ep",
    }
)
DEV_POSTS: Final = frozenset(
    {"/collective_rpc", "/update_weights", "/sleep", "/wake_up", "/reset_prefix_cache", "/pause"}
)
LORA_POSTS: Final = frozenset({"/v1/load_lora_adapter", "/v1/unload_lora_adapter"})
HOOK_POSTS: Final = frozenset({"/v1/hooks/register", "/v1/hooks/collect"})


class VllmLike:
    """Listens on a free port while it is entered; keeps what was asked of it.

    Args:
        key: as --api-key.
        dev_mode: as VLLM_SERVER_DEV_MODE.
        posts: further paths that take POST.
        answers: path → the JSON that a POST to it is answered with.
        statuses: path → status, before anything else; "*" for every path.
        models: what it serves.
        tls: serve HTTPS.
        headers: of every answer.
        host: where to listen.
        clock_ahead_s: how far its clock is from this machine's.
    """

    def __init__(  # noqa: PLR0913  (so many ways to be set up)
        self,
        *,
        key: str | None = None,
        dev_mode: bool = False,
        posts: frozenset[str] = frozenset(),
        answers: Mapping[str, Any] | None = None,
        statuses: Mapping[str, int] | None = None,
        models: tuple[str, ...] = ("org/behind",),
        tls: ssl.SSLContext | None = None,
        headers: Mapping[str, str] | None = None,
        host: str = "127.0.0.1",
        clock_ahead_s: float = 0.0,
    ) -> None:
        self.asked: list[tuple[str, str]] = []
        self.bodies = 0
        self._key = key
        self._posts = POSTS | posts | (DEV_POSTS if dev_mode else frozenset())
        self._gets: dict[str, Any] = {
            "/health": {},
            "/version": {"version": "0.32.0"},
            "/metrics": {},
            "/load": {"server_load": 0},
            "/openapi.json": {},
            "/v1/models": {"object": "list", "data": [{"id": name} for name in models]},
        }
        if dev_mode:
            self._gets |= {"/server_info": {}, "/is_sleeping": {"is_sleeping": False}}
        self._answers = answers or {}
        self._statuses = statuses or {}
        self._headers = headers or {}
        self._ahead_s = clock_ahead_s
        self._server = ThreadingHTTPServer((host, 0), self._handler())
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def answer(self, method: str, path: str, authorization: str | None) -> tuple[int, Any]:
        """Return status and JSON, in the order in which vLLM looks."""
        if status := self._statuses.get(path, self._statuses.get("*")):
            return status, {}
        is_guarded = self._key is not None and path.startswith(GUARDED) and method != "OPTIONS"
        if is_guarded and authorization != f"Bearer {self._key}":
            return 401, {"error": "Unauthorized"}
        if path in self._gets and method == "GET":
            return 200, self._gets[path]
        if path in self._answers and method == "POST":
            return 200, self._answers[path]
        if path in self._gets or path in self._posts:
            return 405, {"detail": "Method Not Allowed"}
        return 404, {"detail": "Not Found"}

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not (self.raw_requestline and self.parse_request()):
                    self.close_connection = True
                    return
                server.asked.append((self.command, self.path))
                size = int(self.headers.get("content-length", 0))
                server.bodies += size > 0
                self.rfile.read(size)  # unread bytes would reset the connection
                status, body = server.answer(
                    self.command, self.path, self.headers.get("authorization")
                )
                data = json.dumps(body).encode()
                self.send_response(status)
                for name, value in server._headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string((timestamp or time.time()) + server._ahead_s)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
