"""`watchgate service-accounts`: programs of a project, which may have several keys."""

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

_COLUMNS: Final = ("id", "project", "name", "entitlements", "created_at", "disabled_at")
_ID: Final = "as `service-accounts list` shows it"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `service-accounts` and its commands."""
    summary = "make, list and change service accounts"
    commands = add_commands(subparsers, "service-accounts", summary)
    example = "watchgate service-accounts create nightly --project search"
    create = add_change(commands, "create", "make a service account", example, _create)
    create.add_argument("name", type=name, metavar="NAME")
    create.add_argument("--project", type=name, required=True, help="must be there")
    create.set_defaults(look="watchgate projects list shows all")
    example = "watchgate service-accounts list --project search --json"
    listing = add_ask(commands, "list", "list service accounts", example, _list)
    listing.add_argument("--project", type=name, help="only this project's")
    add_json_argument(listing)
    example = "watchgate service-accounts show sva_2mVqTz8bKx1c"
    one = add_ask(commands, "show", "show a service account", example, _show)
    one.add_argument("id", metavar="ID", help=_ID)
    add_json_argument(one)
    example = "watchgate service-accounts set sva_2mVqTz8bKx1c --entitlements trusted_access"
    change = add_change(commands, "set", "set what it is entitled to", example, _set)
    change.add_argument("id", metavar="ID", help=_ID)
    change.add_argument(
        "--entitlements", type=entitlements, required=True, metavar="A,B", help="all; or none"
    )
    example = "watchgate service-accounts disable sva_2mVqTz8bKx1c"
    disable = add_change(commands, "disable", "refuse all its keys", example, _disable)
    disable.add_argument("id", metavar="ID", help=_ID)
    example = "watchgate service-accounts enable sva_2mVqTz8bKx1c"
    enable = add_change(commands, "enable", "let its keys in again", example, _enable)
    enable.add_argument("id", metavar="ID", help=_ID)


def _create(api: Api, args: argparse.Namespace) -> int:
    body = because(args, project=args.project, name=args.name)
    return show(args, api.ask("POST", "/service-accounts", body))


def _list(api: Api, args: argparse.Namespace) -> int:
    found = api.all("/service-accounts", "id", {"project": args.project})
    return show_list(args, found, _COLUMNS)


def _show(api: Api, args: argparse.Namespace) -> int:
    return show(args, api.ask("GET", f"/service-accounts/{args.id}"))


def _set(api: Api, args: argparse.Namespace) -> int:
    body = because(args, entitlements=args.entitlements)
    return show(args, api.ask("PUT", f"/service-accounts/{args.id}/entitlements", body))


def _disable(api: Api, args: argparse.Namespace) -> int:
    answer = api.ask("POST", f"/service-accounts/{args.id}/disable", because(args))
    return tell(args, answer, f"{args.id} is disabled")


def _enable(api: Api, args: argparse.Namespace) -> int:
    answer = api.ask("POST", f"/service-accounts/{args.id}/enable", because(args))
    return tell(args, answer, f"{args.id} is enabled")
