"""`watchgate audit verify`: whether the audit log is what was written, by its chain and anchors."""

import argparse
from collections.abc import Iterator
from typing import Any

from service.commands.common import (
    Exit,
    add_json_argument,
    add_leaf,
    duration_s,
    load_settings,
    opened_store,
    print_json,
    say,
    shown_time,
)
from service.core.audit_check import Anchor, ChainCheck, Finding, Report
from service.errors import BadRecord, EventLogError
from service.events import audit as audit_events
from service.events.journal import journal_folders, read_synced
from service.events.log import Received, Topic
from service.settings import KafkaLog, Settings
from service.store.audit import read_links
from service.store.audit_key import load_audit_key

_MAC_BYTES = 32
_SAID_EVERY = 100_000


def add_leaf_to(leaves: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    verify = add_leaf(
        leaves,
        "verify",
        "check every entry of the audit log, and that it goes as far as its anchors say",
        "watchgate audit verify --anchor 1207:9f86d0818…",
    )
    verify.add_argument(
        "--anchor",
        type=_given,
        action="append",
        default=[],
        metavar="SEQ:MAC",
        help="a head that `audit head` printed; may come more than once",
    )
    verify.add_argument(
        "--timeout",
        type=duration_s,
        default=60,
        metavar="60s",
        help="how long reading anchors from Kafka may take (default: 60s)",
    )
    add_json_argument(verify)
    verify.set_defaults(run=_verify)


def _verify(args: argparse.Namespace) -> int:
    settings = load_settings(args)
    key = load_audit_key(settings.data_dir, settings.audit.secret)
    found = _Anchors(settings, args.timeout)  # first: what is appended meanwhile is ahead of them
    check = ChainCheck(key, [*args.anchor, *found])
    with opened_store(settings) as store:
        for number, link in enumerate(read_links(store), 1):
            check.see(link)
            if number % _SAID_EVERY == 0:
                say(f"{number} entries")
    report = check.end()
    if args.json:
        print_json(_shown(report, found.unread), indent=2)
    else:
        _tell(report, found.unread)
    return Exit.PROBLEM if report.findings or found.unread else Exit.OK


class _Anchors:
    """The anchors of the event log; where some cannot be read, the others still count."""

    def __init__(self, settings: Settings, timeout_s: float) -> None:
        self._settings = settings
        self._timeout_s = timeout_s
        self.unread: list[str] = []
        """What could not be read, each in a sentence; once all were asked for."""

    def __iter__(self) -> Iterator[Anchor]:
        root = self._settings.data_dir / "journal"
        for folder in journal_folders(root):
            yield from self._read(read_synced(folder, Topic.AUDIT))
        log = self._settings.event_log
        if isinstance(log, KafkaLog):
            from service.events.kafka.whole import read_whole  # noqa: PLC0415  (slow, seldom)
            from service.wiring.parts import kafka_config  # noqa: PLC0415

            whole = read_whole(kafka_config(log), Topic.AUDIT, self._timeout_s)
            yield from self._read(whole)

    def _read(self, records: Iterator[Received]) -> Iterator[Anchor]:
        try:
            for received in records:
                if (anchor := self._anchor(received)) is not None:
                    yield anchor
        except (EventLogError, OSError) as error:
            self.unread.append(f"not all anchors can be read: {error}")

    def _anchor(self, received: Received) -> Anchor | None:
        where = "/".join(map(str, received.position))
        try:
            event = audit_events.to_event(received.record)
            if not isinstance(event, audit_events.Anchor):
                return None
            return Anchor(event.seq, bytes.fromhex(event.mac), event.at, where)
        except (BadRecord, ValueError) as error:
            of_newer = isinstance(error, BadRecord) and error.reason == "version"
            if of_newer and received.record.kind != "anchor":  # nothing about the log's head
                return None
            self.unread.append(f"the record {where} cannot be read")
            return None


def _tell(report: Report, unread: list[str]) -> None:
    for words in [*map(str, report.findings), *unread]:
        say(words)
    if report.more:
        say(f"and {report.more} findings more")
    if report.none_follows:
        say("not one entry follows: is audit.key the one that the log was written under?")
    say(f"{report.entries} entries and {report.anchors} anchors were checked")
    if report.anchors:
        since = shown_time(report.oldest_at) or "an unknown time"
        say(f"the oldest anchor is of {since}; the entries up to {report.anchored_to} are anchored")
    if not report.findings:
        say("nothing wrong was found" + (" in what could be read" if unread else ""))


def _shown(report: Report, unread: list[str]) -> dict[str, Any]:
    return {
        "ok": not report.findings and not unread,
        "entries": report.entries,
        "head": {"seq": report.head.seq, "mac": report.head.mac.hex()},
        "anchors": {
            "checked": report.anchors,
            "oldest_at": shown_time(report.oldest_at),
            "up_to": report.anchored_to,
            "unread": unread,
        },
        "findings": [_shown_finding(finding) for finding in report.findings],
        "more_findings": report.more,
        "key_may_be_another": report.none_follows,
    }


def _shown_finding(finding: Finding) -> dict[str, Any]:
    anchor = finding.anchor
    return {
        "fault": finding.fault,
        "first": finding.first,
        "last": finding.last,
        "anchors": finding.anchors,
        "anchor": anchor
        and {
            "seq": anchor.seq,
            "mac": anchor.mac.hex(),
            "at": shown_time(anchor.at),
            "where": anchor.where,
        },
        "message": str(finding),
    }


def _given(text: str) -> Anchor:
    seq, _, mac = text.partition(":")
    try:
        number, value = int(seq), bytes.fromhex(mac)
    except ValueError:
        number, value = 0, b""
    if number < 1 or len(value) != _MAC_BYTES:
        raise argparse.ArgumentTypeError(
            f"expected SEQ:MAC as `watchgate audit head` prints it, and not {text!r}"
        )
    return Anchor(number, value, None, "--anchor")
