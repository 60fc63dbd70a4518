"""`watchgate projects`: projects, which keys belong to, and what their callers may do."""

import argparse
from pathlib import Path
from typing import Any, Final

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
from service.commands.rule_arguments import add_rules, entitlements, rules_in
from service.errors import ConfigError

_COLUMNS: Final = ("name", "organisation", "rules", "entitlements", "disabled_at")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `projects` and its commands."""
    commands = add_commands(subparsers, "projects", "make, list and change projects")
    example = "watchgate projects create search --organisation acme --models llama"
    create = add_change(commands, "create", "make a project", example, _create)
    create.add_argument("name", type=name, metavar="NAME")
    create.add_argument("--organisation", type=name, help="who it belongs to (default: default)")
    _add_end_user_key(create)
    add_rules(create, may_clear=False)
    example = "watchgate projects list --organisation acme --json"
    listing = add_ask(commands, "list", "list projects", example, _list)
    listing.add_argument("--organisation", type=name, help="only this organisation's")
    add_json_argument(listing)
    example = "watchgate projects show search"
    one = add_ask(commands, "show", "show a project", example, _show)
    one.add_argument("name", type=name, metavar="NAME")
    add_json_argument(one)
    _add_set(commands)
    example = "watchgate projects disable search --reason 'moved away'"
    disable = add_change(commands, "disable", "refuse all its callers", example, _disable)
    disable.add_argument("name", type=name, metavar="NAME")
    example = "watchgate projects enable search"
    enable = add_change(commands, "enable", "let its callers in again", example, _enable)
    enable.add_argument("name", type=name, metavar="NAME")


def _add_set(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = (
        "watchgate projects set search --models llama,mistral --max-tokens 4096 "
        "--addresses 10.0.0.0/8 --no-tools"
    )
    change = add_change(commands, "set", "change what its callers may do", example, _set)
    change.add_argument("name", type=name, metavar="NAME")
    _add_end_user_key(change)
    change.add_argument("--no-end-user-key", action="store_true", help="take the public key away")
    change.add_argument("--entitlements", type=entitlements, metavar="A,B", help="all; or none")
    add_rules(change, may_clear=True)


def _add_end_user_key(parser: argparse.ArgumentParser) -> None:
    words = "PEM: the public key of the project, which signs ids of its end users"
    parser.add_argument("--end-user-key", type=Path, metavar="FILE", help=words)


def _create(api: Api, args: argparse.Namespace) -> int:
    body = because(
        args,
        name=args.name,
        organisation=args.organisation,
        rules=rules_in(args),
        end_user_key=_pem(args.end_user_key),
    )
    return show(args, api.ask("POST", "/projects", body))


def _list(api: Api, args: argparse.Namespace) -> int:
    found = api.all("/projects", "name", {"organisation": args.organisation})
    return show_list(args, found, _COLUMNS)


def _show(api: Api, args: argparse.Namespace) -> int:
    return show(args, api.ask("GET", f"/projects/{args.name}"))


def _set(api: Api, args: argparse.Namespace) -> int:
    fields: dict[str, Any] = {"rules": rules_in(args), "end_user_key": _pem(args.end_user_key)}
    body = because(args, **fields)
    if args.no_end_user_key:
        body["end_user_key"] = None
    if body.keys() <= {"reason"} and args.entitlements is None:
        raise ConfigError("nothing to set: name a rule, --end-user-key or --entitlements")
    answer = api.ask("PATCH", f"/projects/{args.name}", body)
    if args.entitlements is not None:
        new = because(args, entitlements=args.entitlements)
        answer = api.ask("PUT", f"/projects/{args.name}/entitlements", new)
    return show(args, answer)


def _disable(api: Api, args: argparse.Namespace) -> int:
    answer = api.ask("POST", f"/projects/{args.name}/disable", because(args))
    return tell(args, answer, f"the project {args.name} is disabled")


def _enable(api: Api, args: argparse.Namespace) -> int:
    answer = api.ask("POST", f"/projects/{args.name}/enable", because(args))
    return tell(args, answer, f"the project {args.name} is enabled")


def _pem(path: Path | None) -> str | None:
    try:
        return None if path is None else path.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise ConfigError(f"--end-user-key: {path}: {type(error).__name__}") from None
