"""`watchgate labels`: what people say of recorded exchanges, and the rows to retrain on."""

import argparse
from typing import Any, Final, TypeAlias

from detectors.api import Part
from service.commands.api_client import Api, address_of
from service.commands.asking import (
    add_ask,
    add_change,
    add_commands,
    because,
    show_list,
    tell,
)
from service.commands.common import add_json_argument, load_settings
from service.commands.labels_export import add_export
from service.core.labels import KINDS, PARTS, Meaning
from service.errors import ConfigError, WatchgateError
from service.events.journal import find_exchange
from service.settings import KafkaLog

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001
"""What `ArgumentParser.add_subparsers()` returns; argparse has no public name for it."""

_COLUMNS: Final = ("exchange_id", "part", "label", "categories", "by", "at", "note")
_MEANINGS: Final = list(map(str, Meaning))
_PARTS: Final = list(map(str, PARTS))
_EXAMPLE_ID: Final = "ex-0123456789abcdef00000001"
_NEEDED: Final = {Part.PROMPT: "opened", Part.ANSWER: "closed"}
"""What is recorded once there is such a part."""


def add_parser(subparsers: Subparsers) -> None:
    """Add `labels` and its commands."""
    summary = "say what recorded exchanges were, and export rows to retrain on"
    commands = add_commands(subparsers, "labels", summary)
    _add_set(commands)
    example = "watchgate labels list --label misuse --json"
    listing = add_ask(commands, "list", "list labels, the latest last", example, _list)
    listing.add_argument("--exchange", metavar="ID", help="only those of this exchange")
    listing.add_argument("--label", choices=_MEANINGS, help="only those that say this")
    add_json_argument(listing)
    example = f"watchgate labels remove {_EXAMPLE_ID} --part prompt --reason 'a mistake'"
    summary = "take a label away: your own, or with --by somebody else's"
    remove = add_change(commands, "remove", summary, example, _remove)
    _add_what(remove)
    remove.add_argument("--by", metavar="ACTOR", help="whose, as `labels list` shows it")
    add_export(commands)


def _add_set(commands: Subparsers) -> None:
    example = f"watchgate labels set {_EXAMPLE_ID} --part prompt --label misuse --category cyber"
    summary = "say whether a part of an exchange was misuse, in place of what you said before"
    change = add_change(commands, "set", summary, example, _set)
    _add_what(change)
    change.add_argument("--label", choices=_MEANINGS, required=True, help="what it was")
    words = "of this kind of misuse; may be repeated"
    kinds = list(map(str, KINDS))
    change.add_argument("--category", choices=kinds, action="append", default=[], help=words)
    words = "one line for others who look at it: nothing of what was asked or answered"
    change.add_argument("--note", metavar="WORDS", help=words)


def _add_what(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="EXCHANGE_ID", help="of the header x-watchgate-receipt")
    words = "of what; a label of the answer speaks of the exchange, too"
    parser.add_argument("--part", choices=_PARTS, required=True, help=words)


def _set(api: Api, args: argparse.Namespace) -> int:
    path = _path(args)
    _check_recorded(args)
    body = because(args, label=args.label, categories=args.category, note=args.note)
    made = api.ask("PUT", path, body)
    kinds = f" ({', '.join(made['categories'])})" if made["categories"] else ""
    return tell(args, _shown(made), f"the {args.part} of {args.id} is {args.label}{kinds}")


def _list(api: Api, args: argparse.Namespace) -> int:
    found = api.all("/labels", "ref", {"exchange": args.exchange, "label": args.label})
    shown = [_shown(one) for one in sorted(found, key=lambda it: float(it["at"]))]
    return show_list(args, shown, _COLUMNS)


def _remove(api: Api, args: argparse.Namespace) -> int:
    params = {"by": args.by, "reason": args.reason}
    gone = api.ask("DELETE", _path(args), params=params)
    words = f"the {args.part} of {args.id} has the label of {gone['by']} no more"
    return tell(args, _shown(gone), words)


def _check_recorded(args: argparse.Namespace) -> None:
    """Refuse what this machine's journals do not hold, where they are all that is recorded.

    Over Kafka, and from elsewhere, only the export tells.

    Raises:
        WatchgateError: there is no record of this part.
    """
    if address_of(args) or isinstance((settings := load_settings(args)).event_log, KafkaLog):
        return
    kinds = set()
    for received in find_exchange(settings.data_dir / "journal", args.id):
        kinds.add(received.record.kind)
        if _NEEDED[Part(args.part)] in kinds:
            return
    if kinds:
        raise WatchgateError(f"{args.id} has no {args.part} yet: see `watchgate receipts show`")
    raise WatchgateError(
        f"the journals of this machine hold no exchange {args.id!r}: the id is wrong, or its "
        "record is no longer kept (journal.keep_s), and nothing could be learnt from the label"
    )


def _path(args: argparse.Namespace) -> str:
    if "/" in args.id:
        raise ConfigError(f"{args.id!r} is no id of an exchange: expected one as {_EXAMPLE_ID}")
    return f"/labels/{args.id}/{args.part}"


def _shown(label: dict[str, Any]) -> dict[str, Any]:
    """Leave away what only pages are asked by."""
    return {field: value for field, value in label.items() if field != "ref"}
