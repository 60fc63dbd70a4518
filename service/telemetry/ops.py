"""Health, readiness and metrics of one process, for ops: never reachable by callers."""

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass

import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest


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


def ops_server(app: FastAPI, address: OpsAddress) -> uvicorn.Server:
    """Return a server that is not started and leaves signals to others."""
    config = uvicorn.Config(
        app,
        host=address.host,
        port=address.port,
        uds=address.socket,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
    )
    return _QuietServer(config)


class _QuietServer(uvicorn.Server):
    """A server beside the process's own work, which handles the signals."""

    def install_signal_handlers(self) -> None:
        """Leave them."""


def serve_in_thread(server: uvicorn.Server) -> threading.Thread:
    """Serve until the process ends."""
    thread = threading.Thread(target=server.run, name="ops", daemon=True)
    thread.start()
    return thread
