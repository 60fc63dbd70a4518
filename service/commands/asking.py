"""What the commands that ask the admin API have in common: arguments, and how answers are shown."""

import argparse
import json
from collections.abc import Sequence
from typing import Any, Final

from service.commands.api_client import Do, asks
from service.commands.common import Exit, add_leaf, print_json, print_table, say, shown_time
from service.settings import ADMIN_TOKEN_VARIABLE, ADMIN_URL_VARIABLE

Json = dict[str, Any]
_TIMES: Final = frozenset({"at", "since"})
_WIDEST_CELL: Final = 60


def add_commands(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, summary: str
) -> "argparse._SubParsersAction[argparse.ArgumentParser]":
    """Add a command that has commands of its own."""
    described = summary[0].upper() + summary[1:] + "."
    parser = subparsers.add_parser(name, help=summary, description=described)
    return parser.add_subparsers(metavar="COMMAND", required=True)


def add_ask(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    summary: str,
    example: str,
    do: Do,
) -> argparse.ArgumentParser:
    """Add a command that asks the admin API, and may do so from elsewhere."""
    parser = add_leaf(commands, name, summary, example)
    parser.add_argument(
        "--api",
        metavar="URL",
        help=f"ask the admin API at this address (default: ${ADMIN_URL_VARIABLE}, else the store "
        f"of this machine); the token comes from ${ADMIN_TOKEN_VARIABLE}",
    )
    of = example.split()[1]
    parser.set_defaults(run=asks(do), look=f"watchgate {of} list shows all")
    return parser


def add_change(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    summary: str,
    example: str,
    do: Do,
) -> argparse.ArgumentParser:
    """Add a command that changes something, and may say why."""
    parser = add_ask(commands, name, summary, example, do)
    parser.add_argument("--reason", metavar="WORDS", help="why, for the audit log")
    parser.add_argument("--json", action="store_true", help="print the JSON on one line")
    return parser


def because(args: argparse.Namespace, **fields: Any) -> Json:  # noqa: ANN401  (any JSON)
    """Return a body of these fields, with the reason if one was given."""
    given = {name: value for name, value in fields.items() if value is not None}
    return given if args.reason is None else given | {"reason": args.reason}


def show(args: argparse.Namespace, answer: Json) -> int:
    """Print an object: on one line with --json."""
    print_json(readable(answer), indent=None if args.json else 2)
    return Exit.OK


def tell(args: argparse.Namespace, answer: Json, words: str) -> int:
    """Say what was done; print the object only with --json."""
    say(words)
    if args.json:
        print_json(readable(answer))
    return Exit.OK


def show_list(args: argparse.Namespace, found: Sequence[Json], columns: Sequence[str]) -> int:
    """Print a list: as a JSON array with --json, else some of the fields in columns."""
    rows = [readable(one) for one in found]
    if args.json:
        print_json(rows)
    else:
        headings = [column.upper() for column in columns]
        print_table(headings, [[_cell(row[column]) for column in columns] for row in rows])
    return Exit.OK


def readable(value: Any) -> Any:  # noqa: ANN401  (any JSON)
    """Return an answer as people read it: times in RFC 3339, rules without those that are none."""
    if isinstance(value, list):
        return [readable(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {name: _readable_field(name, inner) for name, inner in value.items()}


def _readable_field(name: str, value: Any) -> Any:  # noqa: ANN401  (any JSON)
    if isinstance(value, int | float) and (name in _TIMES or name.endswith("_at")):
        return shown_time(value)
    if name == "rules" and isinstance(value, dict):
        return {rule: inner for rule, inner in value.items() if inner is not None}
    return readable(value)


def _cell(value: Any) -> str | None:  # noqa: ANN401  (any JSON)
    if value is None or value in ([], {}):
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        text = ",".join(map(str, value))
    else:
        text = json.dumps(value) if isinstance(value, dict) else str(value)
    return text if len(text) <= _WIDEST_CELL else text[: _WIDEST_CELL - 1] + "…"
