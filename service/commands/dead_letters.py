"""`watchgate dead-letters`: the records that a worker could not handle, listed and replayed."""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from service.commands.common import (
    Exit,
    add_json_argument,
    add_leaf,
    load_settings,
    print_json,
    print_table,
    say,
    shown_time,
)
from service.errors import BadRecord
from service.events.journal import read_topic
from service.events.kafka.wire import UNDECODABLE, to_record
from service.events.log import Received, Record, Topic
from service.settings import Settings
from service.workers.loop import REPLAY, original_of

_COLUMNS: Final[tuple[str, ...]] = ("at", "group", "reason", "topic", "id", "log", "part", "offset")
_AT_ONCE: Final = 16
"""Records appended together: each may be as large as a request's body."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `dead-letters` and its commands."""
    parser = commands.add_parser(
        "dead-letters",
        help="list and replay what could not be handled",
        description="Records that could not be handled.",
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
        "append the records behind the dead letters again, each once, to be handled anew",
        "watchgate dead-letters replay --reason handler_failed",
    )
    replay.add_argument("--reason", help="only those with this reason")
    replay.set_defaults(run=_replay)


def _list(args: argparse.Namespace) -> int:
    rows = [_entry(received) for received in _letters(load_settings(args))]
    if args.json:
        print_json(rows)
    else:
        shown = [[str(row[name]) for name in _COLUMNS] for row in rows]
        print_table([name.upper() for name in _COLUMNS], shown)
    return Exit.OK


def _replay(args: argparse.Namespace) -> int:
    from service.wiring.parts import own_journal  # noqa: PLC0415  (only this command writes)

    settings = load_settings(args)
    letters = [
        letter
        for letter in _letters(settings)
        if args.reason is None or _entry(letter)["reason"] == args.reason
    ]
    originals, broken = _originals(letters)
    with own_journal(settings, REPLAY) as journal:
        for start in range(0, len(originals), _AT_ONCE):
            journal.append_all(originals[start : start + _AT_ONCE])
    say(f"replayed {len(originals)} records")
    if broken:
        say(f"{broken} dead letters cannot be read and were left out")
    return Exit.PROBLEM if broken else Exit.OK


def _originals(letters: Sequence[Received]) -> tuple[list[Record], int]:
    """Return the records behind letters, one that failed several times once; count the rest."""
    originals: dict[Record, None] = {}
    broken = 0
    for letter in letters:
        try:
            originals[_unpacked(original_of(letter.record))] = None
        except BadRecord:
            broken += 1
    return list(originals), broken


def _unpacked(original: Record) -> Record:
    """Read a message of Kafka that was no envelope to the version which put it aside."""
    if original.kind != UNDECODABLE:
        return original
    try:
        return to_record(original.topic, original.key, original.body)
    except BadRecord:
        return original


def _letters(settings: Settings) -> Iterator[Received]:
    return read_topic(settings.data_dir / "journal", Topic.DEAD_LETTERS)


def _entry(received: Received) -> dict[str, Any]:
    """Return what a letter tells; `id` is the exchange's or the verdict's."""
    letter: dict[str, Any] = msgspec.json.decode(received.record.body)
    entry = {name: letter[name] for name in _COLUMNS if name in letter}
    return entry | {"at": shown_time(letter["at"]), "id": received.record.id}
