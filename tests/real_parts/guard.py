"""A real HTTP server that answers as a guard model behind vLLM does, by the test's script.

with Guard(lambda asked: said("Safety: Safe\\nCategories: None")) as guard:
    ... a judge at guard.url ...

The script is called in a thread for each request, with what was asked, and may block.
"""

import json
import math
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

DEADLINE_S: Final = 20.0


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def said(self) -> str:
        """All that was sent as the judged content: the last message, or the input."""
        if "input" in self.body:
            return str(self.body["input"][0])
        return str(self.body["messages"][-1]["content"])


@dataclass(frozen=True)
class Answer:
    """What the server answers; `drip_s` apart the bytes of the body come, if it is set."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    drip_s: float = 0.0
    breaks_off: bool = False


Script = Callable[[Asked], Answer]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Say nothing: whoever asked may give up at any moment."""


class Guard:
    """Listens on a free port while it is entered; keeps what was asked and how much at once."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._lock = threading.Lock()
        self.asked: list[Asked] = []
        self.at_once = 0
        self.most_at_once = 0
        self.ending = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        scheme = "http"
        if tls is not None:
            scheme, plain = "https", self._server.socket
            self._server.socket = tls.wrap_socket(plain, server_side=True)
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"

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
        self.ending.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return self._script(asked)
        finally:
            with self._lock:
                self.at_once -= 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        guard = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = guard._answer(Asked(self.path, headers, body))
                try:
                    self._send(answer)
                except OSError:
                    self.close_connection = True  # whoever asked has given up

            def _send(self, answer: Answer) -> None:
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer.body) + answer.breaks_off))
                self.end_headers()
                if not answer.drip_s:
                    self.wfile.write(answer.body)
                for byte in answer.body if answer.drip_s else b"":
                    if guard.ending.wait(answer.drip_s):
                        break
                    self.wfile.write(bytes([byte]))
                self.close_connection = self.close_connection or answer.breaks_off

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def said(
    text: str | None,
    *,
    tokens: Sequence[tuple[str, Mapping[str, float]]] = (),
    finish_reason: str = "stop",
    prompt_tokens: int = 100,
    completion_tokens: int = 10,
) -> Answer:
    """A chat completion; `tokens` are the chosen ones, each with the probabilities at its place."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, "reasoning": None},
        "finish_reason": finish_reason,
        "logprobs": {"content": [_token(*one) for one in tokens]} if tokens else None,
    }
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
    body = {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], "usage": usage}
    return Answer(json.dumps(body).encode())


def classified(probs: Sequence[float], label: str | None = None) -> Answer:
    """What /classify answers about one text."""
    result = {"index": 0, "label": label, "probs": list(probs), "num_classes": len(probs)}
    usage = {"prompt_tokens": 7, "total_tokens": 7, "completion_tokens": 0}
    body = {"id": "classify-1", "object": "list", "model": "m", "data": [result], "usage": usage}
    return Answer(json.dumps(body).encode())


def _token(chosen: str, chances: Mapping[str, float]) -> dict[str, Any]:
    tops = [{"token": it, "logprob": _log(p), "bytes": None} for it, p in chances.items()]
    return {"token": chosen, "logprob": _log(chances.get(chosen, 1.0)), "top_logprobs": tops}


def _log(chance: float) -> float:
    return math.log(chance) if chance > 0 else -9999.0
