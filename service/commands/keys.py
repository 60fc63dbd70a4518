"""`watchgate keys`: API keys, made and shown once, listed, narrowed, rotated and revoked."""

import argparse
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
from service.commands.common import Exit, add_json_argument, duration_s, name, say
from service.commands.rule_arguments import add_rules, rules_in
from service.errors import ConfigError

_COLUMNS: Final = ("id", "prefix", "project", "name", "created_at", "expires_at", "revoked_at")
_NEW: Final = ("id", "key", "prefix", "project", "expires_at")
_ID: Final = "as `keys list` shows it"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `keys` and its commands."""
    commands = add_commands(subparsers, "keys", "make, list, rotate and revoke API keys")
    _add_create(commands)
    _add_list(commands)
    _add_one(commands)
    _add_rotate(commands)


def _add_create(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = "watchgate keys create --project search --expires 90d"
    create = add_change(commands, "create", "make a key and show it, this once", example, _create)
    create.add_argument("--project", type=name, required=True, help="may be new")
    create.add_argument(
        "--expires", type=duration_s, metavar="90d", help="lifetime (default: until revoked)"
    )
    create.add_argument("--name", metavar="WORDS", help="what it is for")
    create.add_argument("--service-account", type=name, metavar="ID", help="its id, or its name")
    add_rules(create, may_clear=False)
    # a project may be new, so this alone can be missing
    create.set_defaults(look="watchgate service-accounts list shows all")


def _add_list(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = "watchgate keys list --project search --json"
    listing = add_ask(commands, "list", "list keys, by their visible prefix", example, _list)
    listing.add_argument("--project", type=name, help="only this project's")
    listing.add_argument("--service-account", metavar="ID", help="only this service account's")
    listing.add_argument("--active", action="store_true", help="only those that work now")
    add_json_argument(listing)


def _add_one(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = "watchgate keys show key_2mVqTz8bKx1c"
    one = add_ask(commands, "show", "show what is known of a key", example, _show)
    one.add_argument("id", metavar="ID", help=_ID)
    add_json_argument(one)
    example = "watchgate keys set key_2mVqTz8bKx1c --models llama --expires 30d"
    change = add_change(commands, "set", "change a key's rules, name or end", example, _set)
    change.add_argument("id", metavar="ID", help=_ID)
    change.add_argument("--name", metavar="WORDS", help="what it is for")
    end = change.add_mutually_exclusive_group()
    end.add_argument("--expires", type=duration_s, metavar="30d", help="lifetime from now")
    end.add_argument("--never-expires", action="store_true", help="it lives until it is revoked")
    add_rules(change, may_clear=True)
    example = "watchgate keys revoke key_2mVqTz8bKx1c"
    summary = "end a key for good; gateways refuse it within about a second"
    revoke = add_change(commands, "revoke", summary, example, _revoke)
    revoke.add_argument("id", metavar="ID", help=_ID)


def _add_rotate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = "watchgate keys rotate key_2mVqTz8bKx1c --overlap 24h"
    summary = "make a new key with the rules and limits of a key, which then soon expires"
    rotate = add_change(commands, "rotate", summary, example, _rotate)
    rotate.add_argument("id", metavar="ID", help=_ID)
    rotate.add_argument(
        "--overlap",
        type=duration_s,
        default=86400,
        metavar="24h",
        help="how long the old key still works (default: 24h)",
    )


def _create(api: Api, args: argparse.Namespace) -> int:
    body = because(
        args,
        project=args.project,
        expires_in_s=args.expires,
        name=args.name,
        service_account=args.service_account,
        rules=rules_in(args),
    )
    return _show_new(args, api.ask("POST", "/keys", body))


def _list(api: Api, args: argparse.Namespace) -> int:
    wanted = {"project": args.project, "service_account": args.service_account}
    found = api.all("/keys", "id", {**wanted, "active": args.active})
    return show_list(args, found, _COLUMNS)


def _show(api: Api, args: argparse.Namespace) -> int:
    return show(args, api.ask("GET", f"/keys/{args.id}"))


def _set(api: Api, args: argparse.Namespace) -> int:
    body = because(args, rules=rules_in(args), name=args.name, expires_in_s=args.expires)
    if args.never_expires:
        body["expires_in_s"] = None
    if body.keys() <= {"reason"}:
        raise ConfigError("nothing to set: name a rule, --name, --expires or --never-expires")
    return show(args, api.ask("PATCH", f"/keys/{args.id}", body))


def _revoke(api: Api, args: argparse.Namespace) -> int:
    before = api.ask("GET", f"/keys/{args.id}")
    answer = api.ask("POST", f"/keys/{args.id}/revoke", because(args))
    how = "is revoked" if before["revoked_at"] is None else "was revoked before"
    return tell(args, answer, f"{args.id} {how}")


def _rotate(api: Api, args: argparse.Namespace) -> int:
    body = because(args, overlap_s=args.overlap)
    return _show_new(args, api.ask("POST", f"/keys/{args.id}/rotate", body))


def _show_new(args: argparse.Namespace, answer: dict[str, Any]) -> int:
    show(args, {field: answer[field] for field in _NEW})
    say("The key is shown this once: only a digest of it is kept.")
    return Exit.OK
