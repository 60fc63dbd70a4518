"""`watchgate up`, and a command for each process of its own."""

import argparse
import os
import signal
import threading
from collections.abc import Callable
from typing import Final

from service.commands.common import add_leaf, config_path, load_settings
from service.settings import KafkaLog, Settings
from service.telemetry.logs import set_up_logs
from service.telemetry.ops import OpsAddress

_ROLES: Final = {
    "gateway": "serve callers",
    "screener": "score exchanges and write verdicts",
    "enforcer": "act on verdicts, reconcile the coverage, send alerts",
    "shipper": "carry the journals to Kafka",
}

Role = Callable[[Settings, OpsAddress], int]


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands."""
    summary = "run everything on one machine: gateway, workers, journal, store"
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
    set_up_logs("up", settings.log_level)
    workers = settings.gateway.workers
    roles = [("gateway" if workers == 1 else f"gateway-{n}", "gateway") for n in range(workers)]
    roles += [("screener", "screener"), ("enforcer", "enforcer")]
    if isinstance(settings.event_log, KafkaLog):
        roles.append(("shipper", "shipper"))
    ops = OpsAddress(settings.ops.host, settings.ops.port)
    stop_s = settings.gateway.drain_s + 15.0
    return Supervisor(roles, ["--config", str(config_path(args))], ops, stop_s).run()


def _run(args: argparse.Namespace) -> int:
    settings = load_settings(args)
    set_up_logs(args.role, settings.log_level)
    if args.lifeline is not None:
        threading.Thread(target=_end_with_parent, args=(args.lifeline,), daemon=True).start()
    ports = settings.ops.ports.model_dump()
    ops = OpsAddress(settings.ops.host, ports[args.role], args.ops_socket)
    return _role(args.role)(settings, ops)


def _role(name: str) -> Role:
    """Import a role's own composition alone: a gateway loads no detector."""
    if name == "gateway":
        from service.wiring.gateway import run_gateway  # noqa: PLC0415

        return run_gateway
    from service.wiring import workers  # noqa: PLC0415

    roles: dict[str, Role] = {
        "screener": workers.run_screener,
        "enforcer": workers.run_enforcer,
        "shipper": workers.run_shipper,
    }
    return roles[name]


def _end_with_parent(lifeline: int) -> None:
    """Stop when the supervisor is gone, however it went: its end of the pipe closes."""
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
