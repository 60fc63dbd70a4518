"""Health, readiness and metrics of one process, for ops: never reachable by callers."""

import os
import socket
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from service.errors import CannotListen


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a process is not ready; `code` comes from a closed set."""

    code: str
    message: str
    model: str | None = None


Readiness = Callable[[], list[Reason]]
"""Returns what keeps the process from being ready: nothing, if it is."""


def make_ops_app(readiness: Readiness, metrics_text: Callable[[], bytes]) -> FastAPI:
    """Return the application behind the ops port."""
    app = FastAPI(title="Watchgate ops", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/ready")
    def ready() -> JSONResponse:
        reasons = readiness()
        body = {"ready": not reasons, "reasons": [asdict(reason) for reason in reasons]}
        return JSONResponse(body, status_code=503 if reasons else 200)

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(metrics_text(), media_type=CONTENT_TYPE_LATEST)

    return app


def metrics_of(registry: CollectorRegistry) -> Callable[[], bytes]:
    """Return what renders a registry."""
    return lambda: generate_latest(registry)


@dataclass(frozen=True, slots=True)
class OpsAddress:
    """Where a process serves: a socket file under `watchgate up`, else a port."""

    host: str
    port: int
    socket: str | None = None


def ops_server(app: FastAPI, address: OpsAddress) -> "OpsServer":
    """Return a server that holds its address and is not started; it leaves signals to others.

    Raises:
        CannotListen: the address is taken.
    """
    listener = listen_on(address.socket or (address.host, address.port), "ops")
    return OpsServer(app, listener)


class OpsServer(uvicorn.Server):
    """A server beside the process's own work."""

    def __init__(self, app: FastAPI, listener: socket.socket) -> None:
        """Take a socket that is bound."""
        super().__init__(
            uvicorn.Config(
                app, loop="asyncio", log_config=None, access_log=False, lifespan="off", ws="none"
            )
        )
        self.listener = listener


def serve_in_thread(server: OpsServer) -> threading.Thread:
    """Serve until the process ends."""
    thread = threading.Thread(
        target=lambda: server.run(sockets=[server.listener]), name="ops", daemon=True
    )
    thread.start()
    return thread


def listen_on(
    address: str | tuple[str, int], setting: str, *, reuse_port: bool = False
) -> socket.socket:
    """Bind a socket file, or host and port, before anything depends on it.

    Raises:
        CannotListen: it is taken, or not of this machine; named by its setting.
    """
    try:
        if isinstance(address, str):
            Path(address).unlink(missing_ok=True)
            return socket.create_server(address, family=socket.AF_UNIX)
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        return socket.create_server(address, family=family, reuse_port=reuse_port)
    except OSError as error:
        shown = address if isinstance(address, str) else f"{address[0]}:{address[1]}"
        why = os.strerror(error.errno or 0)
        raise CannotListen(f"{setting}.port: cannot listen on {shown}: {why}") from None
