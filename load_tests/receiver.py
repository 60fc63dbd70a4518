"""A receiver of traces that takes whatever comes and keeps nothing, in a process of its own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from load_tests.processes import START_S, child, free_port, listens, wait_until


class _Taker(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Take a batch of spans."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def receiving(log: Path, core: int | None) -> Iterator[str]:
    """Run one until the block ends; gives its address."""
    port = free_port()
    command = [sys.executable, "-m", "load_tests.receiver", port]
    with child(command, log=log, core=core) as process:
        wait_until(lambda: listens(port), process, log, limit_s=START_S)
        yield f"http://127.0.0.1:{port}"


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), _Taker).serve_forever()
