"""`watchgate accounts`: accounts' standings, suspended and reinstated."""

import argparse
from typing import Final

from service.commands.api_client import Api
from service.commands.asking import (
    add_ask,
    add_change,
    add_commands,
    because,
    show,
    show_list,
    tell,
)
from service.commands.common import add_json_argument, name
from service.errors import ConfigError

_COLUMNS: Final = ("account", "state", "since", "by", "reason")
_STATES: Final = ("good", "watched", "throttled", "suspended")
_ACCOUNT: Final = "a project, or an end user: PROJECT/ and 24 digits, as `receipts show` has it"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `accounts` and its commands."""
    commands = add_commands(subparsers, "accounts", "show, suspend and reinstate accounts")
    example = "watchgate accounts list --state suspended --json"
    listing = add_ask(commands, "list", "list accounts that are not good", example, _list)
    listing.add_argument("--state", choices=_STATES, help="only those of this state")
    add_json_argument(listing)
    example = "watchgate accounts show search"
    one = add_ask(commands, "show", "show an account's standing", example, _show)
    one.add_argument("account", metavar="ACCOUNT", help=_ACCOUNT)
    add_json_argument(one)
    example = "watchgate accounts find --project search --end-user user-4711"
    found = add_ask(commands, "find", "show the account of an end user", example, _find)
    found.add_argument("--project", type=name, required=True, help="whose end user it is")
    found.add_argument("--end-user", required=True, metavar="ID", help="as the project sends it")
    add_json_argument(found)
    example = "watchgate accounts suspend search --reason 'ticket 4711'"
    summary = "refuse an account; gateways do within about a second"
    suspend = add_change(commands, "suspend", summary, example, _suspend)
    suspend.add_argument("account", metavar="ACCOUNT", help=_ACCOUNT)
    example = "watchgate accounts reinstate search --reason 'ticket 4711 is closed'"
    reinstate = add_change(commands, "reinstate", "let an account in again", example, _reinstate)
    reinstate.add_argument("account", metavar="ACCOUNT", help=_ACCOUNT)
    for leaf in (one, found, suspend, reinstate):
        leaf.set_defaults(look="watchgate projects list shows all")


def _list(api: Api, args: argparse.Namespace) -> int:
    return show_list(args, api.all("/accounts", "account", {"state": args.state}), _COLUMNS)


def _show(api: Api, args: argparse.Namespace) -> int:
    return show(args, api.ask("GET", _path(args.account)))


def _find(api: Api, args: argparse.Namespace) -> int:
    body = {"project": args.project, "end_user": args.end_user}
    return show(args, api.ask("POST", "/accounts/find", body))


def _suspend(api: Api, args: argparse.Namespace) -> int:
    if args.reason is None:
        raise ConfigError("--reason: say why, for the audit log and whoever reviews it")
    answer = api.ask("POST", f"{_path(args.account)}/suspend", because(args))
    return tell(args, answer, f"{args.account} is suspended")


def _reinstate(api: Api, args: argparse.Namespace) -> int:
    answer = api.ask("POST", f"{_path(args.account)}/reinstate", because(args))
    return tell(args, answer, f"{args.account} is reinstated")


def _path(account: str) -> str:
    from urllib.parse import quote  # noqa: PLC0415

    return f"/accounts/{quote(account)}"
