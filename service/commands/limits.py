"""`watchgate limits`: how much is let in, of whom, for which model."""

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
from service.commands.common import add_json_argument, name
from service.errors import ConfigError

_NUMBERS: Final = {
    "requests_per_min": "requests a minute",
    "tokens_per_min": "tokens a minute, of prompts and answers together",
    "concurrent_requests": "requests at the same time",
    "tokens_per_day": "tokens a day",
    "tokens_per_month": "tokens a month",
}
_SUBJECTS: Final = {
    "organisation": ("NAME", "of all projects of this organisation together"),
    "project": ("NAME", "of all callers of this project together"),
    "key": ("ID", "of this key"),
    "end_user": ("PROJECT", "of each end user of this project"),
}
_LISTED_BY: Final = {
    "organisation": "orgs",
    "project": "projects",
    "key": "keys",
    "end_user": "projects",
}
_COLUMNS: Final = ("scope", "subject", "model", *_NUMBERS)
_NOBODY: Final = (
    "whose limits? name --organisation, --project, --key or --end-user, or --model alone for "
    "what all callers of a model share"
)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `limits` and its commands."""
    commands = add_commands(subparsers, "limits", "set, list and remove limits and budgets")
    example = (
        "watchgate limits set --project search --model llama "
        "--requests-per-min 60 --tokens-per-min 100000"
    )
    summary = "set all limits of one subject for one model, or for all models together"
    change = add_change(commands, "set", summary, example, _set)
    _add_place(change)
    for number, words in _NUMBERS.items():
        option = "--" + number.replace("_", "-")
        change.add_argument(option, type=int, metavar="N", help=words)
    example = "watchgate limits list --project search --json"
    listing = add_ask(commands, "list", "list limits", example, _list)
    _add_subject(listing)
    add_json_argument(listing)
    example = "watchgate limits remove --project search --model llama"
    summary = "take all limits of one subject for one model away, or those for all together"
    remove = add_change(commands, "remove", summary, example, _remove)
    _add_place(remove)


def _add_subject(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    for scope, (metavar, words) in _SUBJECTS.items():
        option = "--" + scope.replace("_", "-")
        group.add_argument(
            option, type=str if scope == "key" else name, metavar=metavar, help=words
        )


def _add_place(parser: argparse.ArgumentParser) -> None:
    _add_subject(parser)
    words = "for this model (default: for all together); alone: what its callers share"
    parser.add_argument("--model", metavar="NAME", help=words)


def _set(api: Api, args: argparse.Namespace) -> int:
    numbers = {number: getattr(args, number) for number in _NUMBERS}
    if all(number is None for number in numbers.values()):
        raise ConfigError(f"no limit was given: name one of {_options()}")
    place = _place(args)
    if listed_by := _LISTED_BY.get(place["scope"]):
        args.look = f"watchgate {listed_by} list shows all"
    return show(args, _shown(api.ask("PUT", "/limits", because(args, **numbers), place)))


def _list(api: Api, args: argparse.Namespace) -> int:
    found = api.all("/limits", "id", _subject(args))
    return show_list(args, [_shown(one) for one in found], _COLUMNS)


def _remove(api: Api, args: argparse.Namespace) -> int:
    place = _place(args)
    answer = api.ask("DELETE", "/limits", params={**place, "reason": args.reason})
    return tell(args, answer, f"the limits of {place['scope']} {place['subject']} are removed")


def _place(args: argparse.Namespace) -> dict[str, Any]:
    subject = _subject(args)
    if subject:
        return {**subject, "model": args.model}
    if args.model is None:
        raise ConfigError(_NOBODY)
    return {"scope": "model", "subject": args.model}


def _subject(args: argparse.Namespace) -> dict[str, Any]:
    given = {scope: getattr(args, scope) for scope in _SUBJECTS}
    return next(({"scope": it, "subject": one} for it, one in given.items() if one), {})


def _shown(limits: dict[str, Any]) -> dict[str, Any]:
    """Leave away what only pages are asked by."""
    return {field: value for field, value in limits.items() if field != "id"}


def _options() -> str:
    return ", ".join("--" + number.replace("_", "-") for number in _NUMBERS)
