"""The `watchgate` command. Each command's module is imported only when it is called."""

import argparse
import importlib
import os
import select
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from service.errors import ConfigError, WatchgateError

_MODULES: Final[Mapping[str, str]] = {
    "up": "service.commands.processes",
    "gateway": "service.commands.processes",
    "screener": "service.commands.processes",
    "enforcer": "service.commands.processes",
    "shipper": "service.commands.processes",
    "console": "service.commands.processes",
    "drained": "service.commands.drained",
    "check-config": "service.commands.check_config",
    "doctor": "service.commands.doctor",
    "admin": "service.commands.admin",
    "orgs": "service.commands.orgs",
    "projects": "service.commands.projects",
    "service-accounts": "service.commands.service_accounts",
    "keys": "service.commands.keys",
    "limits": "service.commands.limits",
    "points": "service.commands.points",
    "labels": "service.commands.labels",
    "accounts": "service.commands.accounts",
    "tokens": "service.commands.tokens",
    "pepper": "service.commands.pepper",
    "store": "service.commands.store",
    "journal": "service.commands.journal",
    "alerts": "service.commands.alerts",
    "audit": "service.commands.audit",
    "backtest": "service.commands.backtest",
    "receipts": "service.commands.receipts",
    "dead-letters": "service.commands.dead_letters",
    "detectors": "detectors.commands",
    "probes": "detectors.probe.command",
    "vllm": "service.vllm.commands",
}
_PROBLEM: Final = 1
_USAGE: Final = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return 0 (well), 1 (found a problem) or 2 (wrong usage or settings)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser(arguments[:1])
    args = parser.parse_args(arguments)
    try:
        return _finished(args)
    except WatchgateError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"watchgate: {line}\n")
        return _USAGE if isinstance(error, ConfigError) else _PROBLEM
    except BrokenPipeError:
        if not _is_stdout_broken():
            raise
        return _PROBLEM  # who reads has had enough, as `head` has; there is nobody to tell
    except KeyboardInterrupt:
        return _PROBLEM


def _finished(args: argparse.Namespace) -> int:
    code = int(args.run(args))
    if sys.stdout is not None:
        sys.stdout.flush()  # here, where it is known what to do if nobody reads
    return code


def _is_stdout_broken() -> bool:
    """Say whether nobody reads stdout; then nothing more goes there."""
    watch = select.poll()
    watch.register(sys.stdout.fileno(), 0)  # an error is told unasked
    is_broken = any(events & select.POLLERR for _, events in watch.poll(0))
    if is_broken:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return is_broken


def _parser(first: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="watchgate",
        description="Access control and misuse monitoring for deployed open-weight models.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    wanted = [_MODULES[name] for name in first if name in _MODULES] or list(_MODULES.values())
    for module in dict.fromkeys(wanted):
        importlib.import_module(module).add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
