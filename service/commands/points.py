"""`watchgate points`: operating points, proposed, promoted, taken back and retired."""

import argparse
from typing import Any, Final, TypeAlias

from service.commands.api_client import Api, Do
from service.commands.asking import (
    add_ask,
    add_change,
    add_commands,
    because,
    show,
    show_list,
    tell,
)
from service.commands.common import add_json_argument, say
from service.commands.point_proposal import add_proposal, body_of
from service.errors import ConfigError

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001
"""What `ArgumentParser.add_subparsers()` returns; argparse has no public name for it."""

_COLUMNS: Final = (
    "id",
    "version",
    "state",
    "applies",
    "detector",
    "category",
    "part",
    "action",
    "threshold",
    "scope",
    "expires_at",
)
_STATES: Final = ("proposed", "active", "retired")
_SCOPE: Final = ("tier", "models", "project", "surface")
_ID: Final = "as `points list` shows it"


def add_parser(subparsers: Subparsers) -> None:
    """Add `points` and its commands."""
    commands = add_commands(subparsers, "points", "propose, promote and take back operating points")
    example = "watchgate points list --state active --json"
    summary = "list points: those of the settings, then those of the store"
    listing = add_ask(commands, "list", summary, example, _list)
    listing.add_argument("--state", choices=_STATES, help="(default: all but those retired)")
    add_json_argument(listing)
    example = "watchgate points show op_2mVqTz8bKx1c"
    summary = "show all versions of a point, and who did what to it"
    one = add_ask(commands, "show", summary, example, _show)
    one.add_argument("id", metavar="ID", help=_ID)
    add_json_argument(one)
    example = (
        "watchgate points propose --detector lexical --category any --part prompt --action block "
        "--fpr 0.001 --benign rows.jsonl --reason 'ticket 4711'"
    )
    summary = "propose a point, or a new version of one; it applies once it is promoted"
    add_proposal(add_change(commands, "propose", summary, example, _propose))
    _add_decisions(commands)


def _add_decisions(commands: Subparsers) -> None:
    summary = "let the proposed version apply, within two seconds"
    _add_decision(commands, "promote", summary, _promote)
    summary = "undo the last promotion: the version before applies again, or none"
    _add_decision(commands, "rollback", summary, _rollback)
    example = "watchgate points retire op_2mVqTz8bKx1c --reason 'ticket 4711'"
    summary = "end a point: what applies of it, and what is proposed"
    retire = add_change(commands, "retire", summary, example, _retire)
    retire.add_argument("id", metavar="ID", help=_ID)


def _add_decision(commands: Subparsers, step: str, summary: str, do: Do) -> None:
    example = f"watchgate points {step} op_2mVqTz8bKx1c --version 2 --reason 'ticket 4711'"
    decision = add_change(commands, step, summary, example, do)
    decision.add_argument("id", metavar="ID", help=_ID)
    which = "the one that waits" if step == "promote" else "the one that applies"
    words = f"do it only if {which} is this version (default: whichever it is)"
    decision.add_argument("--version", type=int, metavar="N", help=words)


def _list(api: Api, args: argparse.Namespace) -> int:
    found = api.all("/points", "ref", {"state": args.state})
    shown = [_shown(one) for one in found]
    return show_list(args, shown if args.json else [_row(it) for it in shown], _COLUMNS)


def _show(api: Api, args: argparse.Namespace) -> int:
    found = api.ask("GET", _path(args))
    return show(args, found | {"versions": [_shown(one) for one in found["versions"]]})


def _propose(api: Api, args: argparse.Namespace) -> int:
    _check_reason(args)
    if args.id is None:
        made = api.ask("POST", "/points", because(args) | body_of(args, {}))
    else:
        versions = api.ask("GET", _path(args))["versions"]
        old = next((it for it in versions if it["state"] == "active"), versions[-1])
        body = because(args) | body_of(args, old)
        made = api.ask("POST", f"{_path(args)}/propose", body)
    say(f"version {made['version']} of {made['id']} is proposed; `points promote` lets it apply")
    return show(args, _shown(made))


def _promote(api: Api, args: argparse.Namespace) -> int:
    return _decide(api, args, "promote")


def _rollback(api: Api, args: argparse.Namespace) -> int:
    return _decide(api, args, "rollback")


def _retire(api: Api, args: argparse.Namespace) -> int:
    _check_reason(args)
    made = api.ask("POST", f"{_path(args)}/retire", because(args))
    return tell(args, _shown(made), f"{made['id']} is retired")


def _decide(api: Api, args: argparse.Namespace, step: str) -> int:
    _check_reason(args)
    made = api.ask("POST", f"{_path(args)}/{step}", because(args, version=args.version))
    words = f"nothing of {made['id']} applies any more"
    if made["applies"]:
        words = f"version {made['version']} of {made['id']} applies: {made['action']}"
    elif made["state"] == "active":
        words = f"version {made['version']} of {made['id']} is back, but has expired: propose one"
    return tell(args, _shown(made), words)


def _path(args: argparse.Namespace) -> str:
    if "/" in args.id:
        raise ConfigError(f"{args.id!r} is no id of the store: points of the settings stand there")
    return f"/points/{args.id}"


def _check_reason(args: argparse.Namespace) -> None:
    if args.reason is None:
        raise ConfigError("--reason: say why, for the point's history and the audit log")


def _row(point: dict[str, Any]) -> dict[str, Any]:
    """Return what a line of the table says of a point: its scope in one cell."""
    given = {field: point[field] for field in _SCOPE if point[field] not in (None, [])}
    words = {it: ",".join(one) if isinstance(one, list) else one for it, one in given.items()}
    return point | {"scope": " ".join(f"{it}={one}" for it, one in words.items()) or "all"}


def _shown(point: dict[str, Any]) -> dict[str, Any]:
    """Leave away what only pages are asked by."""
    return {field: value for field, value in point.items() if field != "ref"}
