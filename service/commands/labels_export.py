"""`watchgate labels export`: labels, with what was asked and answered, as rows of a file."""

import argparse
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from detectors.api import Part
from service.commands.backtest import add_stretch
from service.commands.common import (
    Exit,
    actor,
    add_json_argument,
    add_leaf,
    load_settings,
    opened_store,
    print_json,
    say,
    shown_time,
)
from service.core.audit import Action, Entry
from service.core.backtest import Source
from service.core.labels import PARTS, Label, LabelledRow, Meaning
from service.errors import WatchgateError
from service.events.log import Received
from service.settings import Settings
from service.store import Store
from service.store.labels import Wanted, list_labels
from service.store.secret_file import private_file
from service.wiring.audit import audit_log_of
from service.wiring.recorded import Stretch, records
from service.workers.labelled import LabelledTexts, Missing

_WORDS: Final[Mapping[Missing, str]] = {
    Missing.GONE: "have no record any more, or none between --since and --until",
    Missing.ENCRYPTED: "are of content that is encrypted",
    Missing.UNREADABLE: "are of content that cannot be read",
    Missing.NO_ANSWER: "are of an answer of which nothing is recorded",
}


def add_export(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    summary = "write labels, with the texts that they are of, as rows to retrain on"
    example = "watchgate labels export --output rows.jsonl --since 2026-11-01 --until 2026-11-08"
    parser = add_leaf(commands, "export", summary, example)
    words = "holds prompts and answers: it is for its owner alone"
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help=words)
    parts, meanings = list(map(str, PARTS)), list(map(str, Meaning))
    parser.add_argument("--part", choices=parts, help="only labels of this part")
    parser.add_argument("--label", choices=meanings, help="only labels that say this")
    add_stretch(parser)
    add_json_argument(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    if not args.since < args.until:
        raise WatchgateError("--until is not after --since: there is nothing between them")
    settings = load_settings(args)
    with opened_store(settings) as store:
        labels = _labels(store, args)
        texts = LabelledTexts(labels, args.until)
        with _told(args.output), private_file(args.output) as file:
            rows = _write(file, texts.rows(_records(settings, args)))
            missing = texts.missing()
            words = _words(missing, len(labels))
            if not rows:
                raise WatchgateError(f"there is nothing to write: {words}")
            facts = {"rows": rows, "labels": len(labels), "missing": dict(missing)}
            _note(settings, store, args, facts)
    say(f"wrote {rows} rows of {len(labels)} labels to {args.output}, for its owner alone")
    if missing:
        say(words)
    if args.json:
        print_json({"file": str(args.output), **facts})
    return Exit.OK


def _labels(store: Store, args: argparse.Namespace) -> Sequence[Label]:
    part = None if args.part is None else Part(args.part)
    meaning = None if args.label is None else Meaning(args.label)
    with store.read() as connection:
        found = list_labels(connection, Wanted(part=part, label=meaning))
    if not found:
        raise WatchgateError("there are no such labels: `watchgate labels set` gives some")
    return found


def _records(settings: Settings, args: argparse.Namespace) -> Iterator[Received]:
    """Read on behind --until: an exchange that began before it may end later."""
    source = None if args.source is None else Source(args.source)
    return records(settings, Stretch(args.since, math.inf, source))


def _write(file: BinaryIO, rows: Iterator[LabelledRow]) -> int:
    count = 0
    for count, row in enumerate(rows, start=1):  # noqa: B007  (told below)
        file.write(msgspec.json.encode(row) + b"\n")
    return count


def _note(
    settings: Settings, store: Store, args: argparse.Namespace, facts: Mapping[str, Any]
) -> None:
    """Write into the audit log that content was read, before the file is there."""
    wanted = {"part": args.part, "label": args.label, "since": shown_time(args.since)}
    if args.until < math.inf:
        wanted["until"] = shown_time(args.until)
    entry = Entry(time.time(), actor(), Action.LABEL_EXPORT, "labels", after={**wanted, **facts})
    with store.begin() as connection:
        audit_log_of(settings).record(connection, entry)


def _words(missing: Mapping[Missing, int], labels: int) -> str:
    whys = sorted(missing.items())
    return "; ".join(f"{count} of {labels} labels {_WORDS[why]}" for why, count in whys)


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """Say which file it is that cannot be written."""
    try:
        yield
    except OSError as error:
        raise WatchgateError(f"{file}: {error.strerror or error}") from None
