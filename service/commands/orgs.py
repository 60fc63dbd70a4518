"""`watchgate orgs`: organisations, which projects belong to."""

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
from service.commands.rule_arguments import entitlements

_COLUMNS: Final = ("name", "entitlements", "created_at", "created_by", "disabled_at")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `orgs` and its commands."""
    commands = add_commands(subparsers, "orgs", "make, list and change organisations")
    example = "watchgate orgs create acme"
    create = add_change(commands, "create", "make an organisation", example, _create)
    create.add_argument("name", type=name, metavar="NAME")
    example = "watchgate orgs list --json"
    add_json_argument(add_ask(commands, "list", "list organisations", example, _list))
    example = "watchgate orgs show acme"
    one = add_ask(commands, "show", "show an organisation", example, _show)
    one.add_argument("name", type=name, metavar="NAME")
    add_json_argument(one)
    example = "watchgate orgs set acme --entitlements identity_verified"
    change = add_change(commands, "set", "set what an organisation is entitled to", example, _set)
    change.add_argument("name", type=name, metavar="NAME")
    change.add_argument(
        "--entitlements", type=entitlements, required=True, metavar="A,B", help="all; or none"
    )
    example = "watchgate orgs disable acme --reason 'contract ended'"
    disable = add_change(commands, "disable", "refuse all its callers", example, _disable)
    disable.add_argument("name", type=name, metavar="NAME")
    example = "watchgate orgs enable acme"
    enable = add_change(commands, "enable", "let its callers in again", example, _enable)
    enable.add_argument("name", type=name, metavar="NAME")


def _create(api: Api, args: argparse.Namespace) -> int:
    return show(args, api.ask("POST", "/organisations", because(args, name=args.name)))


def _list(api: Api, args: argparse.Namespace) -> int:
    return show_list(args, api.all("/organisations", "name"), _COLUMNS)


def _show(api: Api, args: argparse.Namespace) -> int:
    return show(args, api.ask("GET", f"/organisations/{args.name}"))


def _set(api: Api, args: argparse.Namespace) -> int:
    body = because(args, entitlements=args.entitlements)
    return show(args, api.ask("PUT", f"/organisations/{args.name}/entitlements", body))


def _disable(api: Api, args: argparse.Namespace) -> int:
    answer = api.ask("POST", f"/organisations/{args.name}/disable", because(args))
    return tell(args, answer, f"the organisation {args.name} is disabled")


def _enable(api: Api, args: argparse.Namespace) -> int:
    answer = api.ask("POST", f"/organisations/{args.name}/enable", because(args))
    return tell(args, answer, f"the organisation {args.name} is enabled")
