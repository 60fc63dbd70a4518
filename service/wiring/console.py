"""The console process."""

import contextlib
import signal
import threading
from importlib.metadata import version

import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from service.console.app import Desk, KnownModel, make_admin_app
from service.console.guard import TokenGuard
from service.core.tiers import TIERS, Safeguard
from service.errors import ConfigError
from service.settings import Model, Settings
from service.store import Store
from service.store.revision import current_revision
from service.store.secret_file import secret_in
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
from service.wiring.parts import clock, is_prepared, make_metrics, prepare_later

TOKEN_FILE = "admin-token"  # noqa: S105  (its name)
MIN_TOKEN_BYTES = 32


def run_console(settings: Settings, ops: OpsAddress) -> int:
    """Serve the admin API until told to stop.

    Raises:
        CannotListen: its address is taken.
        ConfigError: the token cannot be read or made, or is too short.
    """
    registry, metrics = make_metrics()
    with contextlib.closing(Store(settings.store.url)) as store:
        if not is_prepared(store):
            later = threading.Thread(target=prepare_later, args=(store, threading.Event()))
            later.daemon = True
            later.start()
        desk = Desk(store, [_known(m) for m in settings.models], version("watchgate"), clock)
        refused = metrics.auth_failures.labels("admin_token")
        app = TokenGuard(make_admin_app(desk), admin_token(settings), refused.inc)
        listener = listen_on((settings.console.host, settings.console.port), "console")
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=5,
            )
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            # for the moments before uvicorn listens to them, and after: it raises them again
            signal.signal(number, lambda *_: setattr(server, "should_exit", True))
        serve_in_thread(ops_server(make_ops_app(_readiness(store), metrics_of(registry)), ops))
        server.run(sockets=[listener])
    return 0


def admin_token(settings: Settings) -> bytes:
    """Return the admin API's token, of a file in the data folder that is made on first use.

    Raises:
        ConfigError: the file cannot be read or made, or its token is too short.
    """
    path = settings.data_dir / TOKEN_FILE
    try:
        token = secret_in(path)
    except OSError as error:
        raise ConfigError(f"data_dir: {path} cannot be used: {error}") from None
    if len(token) < MIN_TOKEN_BYTES:
        raise ConfigError(
            f"data_dir: the token in {path} has {len(token)} bytes; "
            f"at least {MIN_TOKEN_BYTES} are needed; remove the file to have a new one made"
        )
    return token


def _known(model: Model) -> KnownModel:
    required = TIERS[model.tier].requires
    safeguards = tuple(str(safeguard) for safeguard in Safeguard if safeguard in required)
    return KnownModel(model.name, model.tier, model.upstream, safeguards)


def _readiness(store: Store) -> Readiness:
    def readiness() -> list[Reason]:
        try:
            with store.read() as connection:
                current_revision(connection)
        except SQLAlchemyError:
            return [Reason("store", "the store cannot be read")]
        return []

    return readiness
