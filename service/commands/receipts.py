"""`watchgate receipts show`: what the journals of this machine hold of an exchange."""

import argparse
from typing import Any

import msgspec

from service.commands.common import Exit, add_leaf, load_settings, print_json, say
from service.events.journal import find_exchange
from service.events.log import Received


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `receipts` and its command."""
    parser = commands.add_parser(
        "receipts", help="show what is recorded of an exchange", description="Show receipts."
    )
    leaves = parser.add_subparsers(metavar="COMMAND", required=True)
    show = add_leaf(
        leaves,
        "show",
        "show the records and verdicts of an exchange, without what was said",
        "watchgate receipts show ex-1f0c… --config watchgate.yaml",
    )
    show.add_argument("id", metavar="ID", help="of the header x-watchgate-receipt")
    show.set_defaults(run=_show)


def _show(args: argparse.Namespace) -> int:
    settings = load_settings(args)
    found = list(find_exchange(settings.data_dir / "journal", args.id))
    if not found:
        say(f"the journals of this machine hold no exchange {args.id!r}")
        return Exit.PROBLEM
    print_json({"exchange_id": args.id, "records": [_entry(r) for r in found]}, indent=2)
    return Exit.OK


def _entry(received: Received) -> dict[str, Any]:
    log, segment, offset = received.position
    position = {"log": log, "segment": segment, "offset": offset}
    return {"position": position, "event": msgspec.json.decode(received.record.body)}
