"""`watchgate dead-letters`: the records that a worker could not handle, listed and replayed."""

import argparse
from collections.abc import Iterator
from typing import Any

import msgspec

from service.commands.common import (
    Exit,
    add_json_argument,
    add_leaf,
    load_settings,
    print_json,
    print_table,
    say,
)
from service.events.journal import read_topic
from service.events.log import Received, Topic
from service.settings import Settings
from service.workers.loop import original_of


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `dead-letters` and its commands."""
    parser = commands.add_parser(
        "dead-letters", help="dead letters", description="Records that could not be handled."
    )
    leaves = parser.add_subparsers(metavar="COMMAND", required=True)
    listing = add_leaf(
        leaves, "list", "list the dead letters of this machine", "watchgate dead-letters list"
    )
    add_json_argument(listing)
    listing.set_defaults(run=_list)
    replay = add_leaf(
        leaves,
        "replay",
        "append the records behind the dead letters again, to be handled anew",
        "watchgate dead-letters replay --reason handler_failed",
    )
    replay.add_argument("--reason", help="only those with this reason")
    replay.set_defaults(run=_replay)


def _list(args: argparse.Namespace) -> int:
    rows = [_entry(received) for received in _letters(load_settings(args))]
    if args.json:
        print_json(rows)
    else:
        names = ("at", "group", "reason", "topic", "log", "offset")
        print_table(names, [[str(row[name]) for name in names] for row in rows])
    return Exit.OK


def _replay(args: argparse.Namespace) -> int:
    from service.wiring.parts import own_journal  # noqa: PLC0415  (only this command writes)

    settings = load_settings(args)
    letters = [
        received.record
        for received in _letters(settings)
        if args.reason in {None, _entry(received)["reason"]}
    ]
    with own_journal(settings, "replay") as journal:
        journal.append_all([original_of(letter) for letter in letters])
    say(f"replayed {len(letters)} records")
    return Exit.OK


def _letters(settings: Settings) -> Iterator[Received]:
    return read_topic(settings.data_dir / "journal", Topic.DEAD_LETTERS)


def _entry(received: Received) -> dict[str, Any]:
    entry: dict[str, Any] = msgspec.json.decode(received.record.body)
    return entry
