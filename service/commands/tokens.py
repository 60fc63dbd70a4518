"""`watchgate tokens`: admin tokens."""

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
from service.commands.common import Exit, add_json_argument, duration_s, say
from service.core.roles import Role

_COLUMNS: Final = ("id", "prefix", "name", "role", "expires_at", "revoked_at", "last_used_at")
_NEW: Final = ("id", "token", "prefix", "name", "role", "expires_at")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `tokens` and its commands."""
    commands = add_commands(subparsers, "tokens", "make, list and revoke admin tokens")
    example = "watchgate tokens create --name alice --role operator --expires 90d"
    summary = "make an admin token and show it, this once"
    create = add_change(commands, "create", summary, example, _create)
    create.add_argument("--name", required=True, metavar="WORDS", help="whose it is, or what for")
    create.add_argument("--role", required=True, choices=[str(role) for role in Role])
    create.add_argument(
        "--expires", type=duration_s, metavar="90d", help="lifetime (default: until revoked)"
    )
    example = "watchgate tokens list --json"
    listing = add_ask(
        commands, "list", "list admin tokens, by their visible prefix", example, _list
    )
    add_json_argument(listing)
    example = "watchgate tokens revoke adm_2mVqTz8bKx1c"
    summary = "end an admin token for good, from the next request on"
    revoke = add_change(commands, "revoke", summary, example, _revoke)
    revoke.add_argument("id", metavar="ID", help="as `tokens list` shows it")


def _create(api: Api, args: argparse.Namespace) -> int:
    body = because(args, name=args.name, role=args.role, expires_in_s=args.expires)
    answer = api.ask("POST", "/tokens", body)
    show(args, {field: answer[field] for field in _NEW})
    say("The token is shown this once: only a digest of it is kept.")
    return Exit.OK


def _list(api: Api, args: argparse.Namespace) -> int:
    return show_list(args, api.all("/tokens", "id"), _COLUMNS)


def _revoke(api: Api, args: argparse.Namespace) -> int:
    answer = api.ask("POST", f"/tokens/{args.id}/revoke", because(args))
    return tell(args, answer, f"{args.id} is revoked")
