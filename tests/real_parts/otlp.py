"""A receiver of OTLP over HTTP: it takes spans in, or does what receivers do that are no help."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Receiver:
    """Takes spans in; `status` is what it answers."""

    def __init__(self, status: int = 200) -> None:
        self.bodies: list[bytes] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """Where OTEL_EXPORTER_OTLP_ENDPOINT is to lead."""
        return f"http://127.0.0.1:{self.server.server_port}"

    def spans(self) -> list[Any]:
        """Return all that came, in the order in which it did."""
        return [span for _, span in self.by_service()]

    def by_service(self) -> list[tuple[str, Any]]:
        """Return all that came, each with the name of the service that it is of."""
        requests = [ExportTraceServiceRequest.FromString(body) for body in [*self.bodies]]
        return [
            (attributes(resource.resource)["service.name"], span)
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@contextmanager
def receiving(status: int = 200) -> Iterator[Receiver]:
    """Run a receiver."""
    receiver = Receiver(status)
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        thread.join()
        receiver.server.server_close()


def attributes(of: Any) -> dict[str, Any]:  # noqa: ANN401  (a span or a resource, as protobuf has them)
    """Return the attributes as plain values."""
    return {one.key: _plain(one.value) for one in of.attributes}


def _plain(value: Any) -> Any:  # noqa: ANN401
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(one) for one in value.array_value.values]
    return getattr(value, kind)
