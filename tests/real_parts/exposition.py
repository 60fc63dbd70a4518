"""A real HTTP server that shows metrics to a Prometheus, made anew for each scrape.

with Exposition(lambda: b"up_since 1\\n") as shown:
    ... scrape shown.address ...
"""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Final, Self

VLLM: Final = Path(__file__).with_name("vllm_0_32.prom")


class Exposition:
    """Listens on a free port while it is entered."""

    def __init__(self, text: Callable[[], bytes]) -> None:
        """Show what `text` returns, which is called once a scrape."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(text))
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def growing(text: str) -> Callable[[], bytes]:
    """Return what shows a recorded exposition, its counters and histograms higher each time."""
    kinds = dict(line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE "))
    scrapes = count(1)

    def grown(line: str, times: int) -> str:
        series, _, value = line.rpartition(" ")
        if line.startswith("#") or kinds.get(series.partition("{")[0]) == "gauge":
            return line
        return f"{series} {times * float(value)}"

    def show() -> bytes:
        times = next(scrapes)
        return "".join(f"{grown(line, times)}\n" for line in text.splitlines()).encode()

    return show


def _handler_for(text: Callable[[], bytes]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = text()
            self.send_response(200)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: object) -> None:
            pass

    return Handler
