"""The console process."""

import contextlib
import signal
import threading

import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from service.console.app import make_admin_app
from service.console.authenticate import TokenAuthenticator
from service.console.guard import MAX_HEADER_BYTES, AdminAuthenticator, ASGIApp, TokenGuard
from service.console.intake import Intake
from service.core.jose import TokenDenial
from service.identity.admins import OidcAdmins
from service.identity.verifier import TokenVerifier
from service.settings import Settings
from service.store import Store
from service.store.revision import current_revision
from service.telemetry.labels import declare
from service.telemetry.metrics import Metrics
from service.telemetry.ops import (
    OpsAddress,
    Readiness,
    Reason,
    listen_on,
    make_ops_app,
    metrics_of,
    ops_server,
    serve_in_thread,
)
from service.wiring.certificates import show_certificates
from service.wiring.identity import token_verifier
from service.wiring.office import make_office
from service.wiring.parts import CONSOLE, is_prepared, make_metrics, prepare_later


def run_console(settings: Settings, ops: OpsAddress) -> int:
    """Serve the admin API until told to stop.

    Raises:
        CannotListen: its address is taken.
        ConfigError: a secret cannot be read or made, or is not the store's.
    """
    registry, metrics = make_metrics(CONSOLE)
    show_certificates(settings, metrics, CONSOLE)
    with (
        contextlib.closing(Store(settings.store.url)) as store,
        token_verifier(settings, metrics) as tokens,
    ):
        if not is_prepared(store):
            later = threading.Thread(target=prepare_later, args=(store, threading.Event()))
            later.daemon = True
            later.start()
        app = guarded_app(settings, store, metrics, tokens)
        server = _server(app, settings)
        listener = listen_on((settings.console.host, settings.console.port), "console")
        for number in (signal.SIGTERM, signal.SIGINT):
            # for the moments before uvicorn listens to them, and after: it raises them again
            signal.signal(number, lambda *_: setattr(server, "should_exit", True))
        serve_in_thread(ops_server(make_ops_app(_readiness(store), metrics_of(registry)), ops))
        server.run(sockets=[listener])
    return 0


def guarded_app(
    settings: Settings, store: Store, metrics: Metrics, tokens: TokenVerifier | None = None
) -> ASGIApp:
    """Return the whole admin API: who may come in, what is taken in, and the routes.

    `tokens` verifies those of issuers; None: nobody comes with one.

    Raises:
        ConfigError: a secret cannot be read or made, or is not the store's.
    """
    office = make_office(settings, store)
    keyring = office.keyring
    _ = keyring.audit_log  # a key that cannot be used is told now, not at the first change
    authenticators: list[AdminAuthenticator] = [TokenAuthenticator(store, keyring.peppers)]
    if tokens is not None:
        refused = metrics.auth_failures.labels
        declare(metrics.auth_failures, TokenDenial)
        authenticators.append(OidcAdmins(tokens, lambda reason: refused(reason).inc()))
    app = Intake(make_admin_app(office))
    on_refusal = metrics.auth_failures.labels("admin_token").inc
    return TokenGuard(app, authenticators, on_refusal, office.clock)


def _server(app: ASGIApp, settings: Settings) -> uvicorn.Server:
    """Return the server; h11 bounds what it keeps of headers that have no end."""
    tls = settings.console.tls
    config = uvicorn.Config(
        app,
        http="h11",
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        ssl_certfile=tls.cert_file if tls else None,
        ssl_keyfile=tls.key_file if tls else None,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(config)


def _readiness(store: Store) -> Readiness:
    def readiness() -> list[Reason]:
        try:
            with store.read() as connection:
                current_revision(connection)
        except SQLAlchemyError:
            return [Reason("store", "the store cannot be read")]
        return []

    return readiness
