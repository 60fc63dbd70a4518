"""`watchgate up`, and a command for each process of its own."""

import argparse
import errno
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from service.commands.common import add_leaf, config_path, load_settings
from service.errors import ConfigError
from service.settings import KafkaLog, Settings
from service.telemetry.logs import set_up_logs
from service.telemetry.metrics import name_metrics
from service.telemetry.ops import OpsAddress, listen_on

if TYPE_CHECKING:
    from service.supervisor import Role

_ROLES: Final = {
    "gateway": "serve callers",
    "screener": "score exchanges and write verdicts",
    "enforcer": "act on verdicts, reconcile the coverage, send alerts",
    "shipper": "carry the journals to Kafka",
    "console": "serve the admin API",
}

STOP_MARGIN_S: Final = 15.0
"""How much longer than the gateway's drain the end of a process may take."""

Run = Callable[[Settings, OpsAddress], int]


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands."""
    summary = "run everything on one machine: gateway, workers, admin API, journal, store"
    up = add_leaf(commands, "up", summary, "watchgate up --config watchgate.yaml")
    up.set_defaults(run=_up)
    for role, what in _ROLES.items():
        leaf = add_leaf(commands, role, what, f"watchgate {role} --config watchgate.yaml")
        leaf.add_argument("--ops-socket", help=argparse.SUPPRESS)
        leaf.add_argument("--lifeline", type=int, help=argparse.SUPPRESS)
        leaf.set_defaults(run=_run, role=role)


def _up(args: argparse.Namespace) -> int:
    from service.supervisor import Supervisor  # noqa: PLC0415  (only this command needs it)

    settings = load_settings(args)
    _have_folder(settings.data_dir)
    set_up_logs("up", settings.log_level)
    ops = OpsAddress(settings.ops.host, settings.ops.port)
    arguments = ["--config", str(config_path(args))]
    stop_s = settings.gateway.drain_s + STOP_MARGIN_S
    supervisor = Supervisor(
        _roles_of(settings),
        arguments,
        ops,
        settings.data_dir,
        stop_s,
        addresses=_addresses(settings),
    )
    # Whoever starts it must learn at once that a port is taken: a child only tries again.
    for section, name in ((settings.gateway, "gateway"), (settings.console, "console")):
        listen_on((section.host, section.port), name).close()
    return supervisor.run()


def _addresses(settings: Settings) -> str:
    """Say where callers, admins and ops find everything."""
    gateway, console, ops = settings.gateway, settings.console, settings.ops
    scheme = "https" if gateway.tls else "http"
    return (
        f"gateway {scheme}://{gateway.host}:{gateway.port}/v1, "
        f"admin {'https' if console.tls else 'http'}://{console.host}:{console.port}/admin/v1, "
        f"metrics http://{ops.host}:{ops.port}/metrics"
    )


def _roles_of(settings: Settings) -> "list[Role]":
    from service.supervisor import Role  # noqa: PLC0415

    workers = settings.gateway.workers
    names = ["gateway"] if workers == 1 else [f"gateway-{n}" for n in range(workers)]
    others = ["screener", "enforcer", "console"]
    if isinstance(settings.event_log, KafkaLog):
        others.append("shipper")
    return [Role(name, "gateway") for name in names] + [Role(name, name) for name in others]


def _run(args: argparse.Namespace) -> int:
    settings = load_settings(args)
    _have_folder(settings.data_dir)
    set_up_logs(args.role, settings.log_level)
    if args.lifeline is not None:
        within_s = settings.gateway.drain_s + STOP_MARGIN_S
        watch = threading.Thread(
            target=_end_with_parent, args=(args.lifeline, within_s), daemon=True
        )
        watch.start()
    if args.ops_socket is not None:
        name_metrics(Path(args.ops_socket).stem)
    ports = settings.ops.ports.model_dump()
    ops = OpsAddress(settings.ops.host, ports[args.role], args.ops_socket)
    return _role(args.role)(settings, ops)


def _have_folder(data_dir: Path) -> None:
    """Make the data folder if it is not there.

    Raises:
        ConfigError: it cannot be made, or not be written to.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(data_dir, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise ConfigError(f"data_dir: {data_dir} cannot be used: {error.strerror}") from None


def _role(name: str) -> Run:
    """Import a role's own composition alone: a gateway loads no detector."""
    if name == "gateway":
        from service.wiring.gateway import run_gateway  # noqa: PLC0415

        return run_gateway
    if name == "console":
        from service.wiring.console import run_console  # noqa: PLC0415

        return run_console
    from service.wiring import workers  # noqa: PLC0415

    roles: dict[str, Run] = {
        "screener": workers.run_screener,
        "enforcer": workers.run_enforcer,
        "shipper": workers.run_shipper,
    }
    return roles[name]


def _end_with_parent(lifeline: int, within_s: float) -> None:
    """Stop when the supervisor is gone, however it went: its end of the pipe closes."""
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(within_s)
    os._exit(1)  # it hangs, and nobody else is there to end it
