"""`watchgate alerts`: what the outbox holds."""

import argparse
import json
from collections.abc import Sequence
from typing import Any

from service.commands.common import (
    Exit,
    add_json_argument,
    add_leaf,
    load_settings,
    opened_store,
    print_json,
    print_table,
    say,
    shown_time,
)
from service.core.alerts import Alert, Delivery, State
from service.store.alerts import list_alerts, list_deliveries


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    """Add `alerts` and its command."""
    parser = subparsers.add_parser(
        "alerts", help="show what fires and who was told", description="Show alerts."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    listing = add_leaf(
        commands,
        "list",
        "list the alerts that fire, the latest first, and who was told",
        "watchgate alerts list --all --point op_4f1c... --json",
    )
    listing.add_argument("--all", action="store_true", help="resolved ones too")
    words = "only those of this operating point, as `points list` names it"
    listing.add_argument("--point", metavar="ID", help=words)
    add_json_argument(listing)
    listing.set_defaults(run=_list)
    return parser


def _list(args: argparse.Namespace) -> int:
    with opened_store(load_settings(args)) as store, store.read() as connection:
        found = list_alerts(connection, resolved=args.all, point=args.point)
        deliveries = list_deliveries(connection)
    if args.point is not None and not found:
        say(_nothing(args.point, is_all=args.all))
    if args.json:
        print_json([_shown(alert, deliveries.get(alert.id, ())) for alert in found])
    else:
        headings = ("STATE", "COUNT", "SINCE", "LAST", "ALERT", "TOLD")
        print_table(headings, [_row(alert, deliveries.get(alert.id, ())) for alert in found])
    return Exit.OK


def _nothing(point: str, *, is_all: bool) -> str:
    more = "" if is_all else "; --all lists resolved ones, too"
    return f"no alerts of {point}: only points whose action is page or block raise some{more}"


def _shown(alert: Alert, deliveries: Sequence[Delivery]) -> dict[str, Any]:
    return {
        "id": alert.id,
        "state": alert.state,
        "labels": alert.labels,
        "count": alert.count,
        "since": shown_time(alert.raised_at),
        "last": shown_time(alert.last_at),
        "resolved_at": shown_time(alert.resolved_at),
        "exchange": alert.last_exchange_id,
        "score": alert.score,
        "threshold": alert.threshold,
        "deliveries": [_shown_delivery(delivery) for delivery in deliveries],
    }


def _shown_delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "url": delivery.url,
        "acknowledged": _acknowledged(delivery),
        "failures": delivery.failures,
        "error": delivery.error,
    }


def _acknowledged(delivery: Delivery) -> State | None:
    """Return the latest that this Alertmanager is known to know."""
    if delivery.resolved_acked_at is not None:
        return State.RESOLVED
    return None if delivery.firing_acked_at is None else State.FIRING


def _row(alert: Alert, deliveries: Sequence[Delivery]) -> Sequence[str | None]:
    labels = {name: value for name, value in alert.labels.items() if name != "alertname"}
    told = sum(_acknowledged(delivery) is alert.state for delivery in deliveries)
    return (
        alert.state,
        str(alert.count),
        shown_time(alert.raised_at),
        shown_time(alert.last_at),
        " ".join(f"{name}={json.dumps(value)}" for name, value in sorted(labels.items())),
        f"{told} of {len(deliveries)}",
    )
