"""`watchgate audit`: who did what, and whether the log of it is what was written."""

import argparse
from typing import Any, Final

from service.commands import audit_export, audit_verify
from service.commands.api_client import PAGE, Api
from service.commands.asking import add_ask, add_commands, show_list
from service.commands.common import a_time, add_json_argument, at_least_one

_COLUMNS: Final = ("seq", "at", "actor", "action", "object", "after", "reason")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `audit` and its commands."""
    commands = add_commands(subparsers, "audit", "see who did what; verify and export the log")
    example = "watchgate audit list --object project/search --since 2026-11-01"
    listing = add_ask(commands, "list", "list who did what, the latest first", example, _list)
    listing.add_argument("--actor", help="only by this one, such as cli:alice")
    listing.add_argument("--action", help="only this, such as key.revoke")
    listing.add_argument("--object", help="only to this, such as project/search")
    listing.add_argument("--since", type=a_time, metavar="TIME", help="from this time on, in UTC")
    listing.add_argument("--until", type=a_time, metavar="TIME", help="before this time, in UTC")
    listing.add_argument(
        "--limit",
        type=at_least_one,
        default=100,
        metavar="N",
        help="at most so many (default: 100)",
    )
    add_json_argument(listing)
    audit_verify.add_leaf_to(commands)
    audit_export.add_leaves_to(commands)


def _list(api: Api, args: argparse.Namespace) -> int:
    wanted = {name: getattr(args, name) for name in ("actor", "action", "object", "since", "until")}
    found: list[dict[str, Any]] = []
    while len(found) < args.limit:
        limit = min(PAGE, args.limit - len(found))
        after = found[-1]["seq"] if found else None
        page = api.ask("GET", "/audit", params={**wanted, "limit": limit, "after": after})
        found += page
        if len(page) < limit:
            break
    return show_list(args, found, _COLUMNS)
