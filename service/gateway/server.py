"""Builds the uvicorn server that the gateway runs on."""

import functools
import math
import socket
from pathlib import Path

import uvicorn

from service.gateway.asgi import App
from service.gateway.http_protocol import GatewayProtocol, RequestLimits


def make_server(  # noqa: PLR0913  each is named where it is given
    app: App,
    limits: RequestLimits,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    drain_s: float,
    backlog: int = 2048,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
) -> uvicorn.Server:
    """Return a server that is ready for `run()` or `serve()`.

    For a socket of one's own (`listening_socket`) give it to either as `sockets=[...]`; host and
    port then mean nothing. On SIGTERM it stops accepting, closes idle connections and lets
    answers finish for at most `drain_s`, rounded up to whole seconds.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=functools.partial(GatewayProtocol, limits=limits),  # type: ignore[arg-type]
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # the address of a caller is not what a header claims
        server_header=False,
        date_header=True,
        backlog=backlog,
        timeout_graceful_shutdown=math.ceil(drain_s),
        ssl_certfile=tls_cert,
        ssl_keyfile=tls_key,
    )
    return uvicorn.Server(config)


def listening_socket(host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """Bind a TCP socket, for several processes on one port if `reuse_port`.

    Raises:
        OSError: the address is taken or not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, reuse_port=reuse_port)
