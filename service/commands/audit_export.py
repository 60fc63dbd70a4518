"""`watchgate audit export` and `head`: the audit log for elsewhere, and how far it goes."""

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

from service.commands.common import (
    Exit,
    actor,
    add_json_argument,
    add_leaf,
    load_settings,
    opened_store,
    print_json,
    say,
)
from service.core.audit import Action, Entry, Link
from service.store.audit import AuditLog, head_of, read_links
from service.store.audit_key import load_audit_key


def add_leaves_to(leaves: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands."""
    export = add_leaf(
        leaves,
        "export",
        "print the audit log as JSON lines; the export is itself an entry, the last one printed",
        "watchgate audit export --since 1200 > audit.jsonl",
    )
    export.add_argument(
        "--since",
        type=_number,
        default=1,
        metavar="SEQ",
        help="the number of the first entry (default: 1)",
    )
    export.set_defaults(run=_export)
    head = add_leaf(
        leaves,
        "head",
        "print the number and the mac of the last entry, to be kept where nobody can change it",
        "watchgate audit head",
    )
    add_json_argument(head)
    head.set_defaults(run=_head)


def _export(args: argparse.Namespace) -> int:
    settings = load_settings(args)
    log = AuditLog(load_audit_key(settings.data_dir, settings.audit.secret))
    with opened_store(settings) as store:
        with store.begin() as connection:
            known = {"since": args.since}
            entry = Entry(time.time(), actor(), Action.AUDIT_EXPORT, "audit", after=known)
            last = log.record(connection, entry)
        for link in read_links(store, after=args.since - 1, up_to=last):
            sys.stdout.write(_line(link) + "\n")
    return Exit.OK


def _head(args: argparse.Namespace) -> int:
    with opened_store(load_settings(args)) as store, store.read() as connection:
        head = head_of(connection)
    if args.json:
        print_json({"seq": head.seq, "mac": head.mac.hex()})
    else:
        sys.stdout.write(f"{head.seq}:{head.mac.hex()}\n")
    if not head.seq:
        say("the audit log is empty")
    return Exit.OK


def _line(link: Link) -> str:
    """Spell an entry; whatever somebody has made of it, the others are to be exported."""
    fields = link._asdict() | {
        "at": _time(link.at),
        "before": _value(link.before),
        "after": _value(link.after),
        "mac": link.mac.hex() if isinstance(link.mac, bytes) else None,
    }
    return json.dumps(fields, default=repr, ensure_ascii=False)


def _time(at: Any) -> str | None:  # noqa: ANN401  (what the database holds)
    """Spell a time as RFC 3339 to the microsecond, which is all that is kept of it."""
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")[:-6] + "Z"
    except (TypeError, ValueError, OverflowError):
        return None


def _value(text: Any) -> Any:  # noqa: ANN401  (any JSON)
    try:
        return None if text is None else json.loads(text)
    except (TypeError, ValueError):
        return repr(text)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected the number of an entry, from 1, not {text!r}")
    return int(text)
