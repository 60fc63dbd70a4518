"""`watchgate admin bootstrap`: the first admin token, on the machine of the store."""

import argparse
from typing import Final

from service.commands.asking import add_commands, show
from service.commands.common import Exit, actor, add_leaf, load_settings, opened_store, say
from service.errors import Conflict

_SHOWN: Final = ("id", "token", "prefix", "name", "role", "expires_at")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `admin` and its command."""
    commands = add_commands(subparsers, "admin", "make the first administrator")
    summary = "make the first admin token and show it, this once"
    leaf = add_leaf(commands, "bootstrap", summary, "watchgate admin bootstrap")
    leaf.add_argument(
        "--again",
        action="store_true",
        help="make one though there is an admin token that works; the audit log says so",
    )
    leaf.add_argument("--reason", metavar="WORDS", help="why, for the audit log")
    leaf.add_argument("--json", action="store_true", help="print the JSON on one line")
    leaf.set_defaults(run=_bootstrap)


def _bootstrap(args: argparse.Namespace) -> int:
    from service.console.tokens import Tokens  # noqa: PLC0415  (imports FastAPI)
    from service.core.roles import Admin, Role  # noqa: PLC0415
    from service.wiring.office import make_office  # noqa: PLC0415

    settings = load_settings(args)
    with opened_store(settings) as store:
        tokens, who = Tokens(make_office(settings, store)), Admin(actor(), Role.ADMIN)
        try:
            made = tokens.bootstrap(who, again=args.again, reason=args.reason)
        except Conflict as conflict:
            say(str(conflict))
            return Exit.PROBLEM
    show(args, {field: getattr(made, field) for field in _SHOWN})
    say("The token is shown this once: only a digest of it is kept.")
    return Exit.OK
