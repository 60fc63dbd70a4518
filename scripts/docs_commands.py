"""The sections of docs/commands.md, from what the commands themselves say."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scripts.docs_tables import Table, code
from service import cli

Parser = argparse.ArgumentParser


def commands() -> Sequence[Table | str]:
    """Return a heading, what the command does, its flags and its example for each command."""
    parts: list[Table | str] = []
    for parser in leaves(whole_parser()):
        parts += [f"## `{parser.prog}`", _sentence(parser.description)]
        if rows := [_row(action) for action in _shown(parser)]:
            parts.append(Table(["argument", "what it is"], rows))
        parts.append("```\n" + (parser.epilog or "").strip() + "\n```")
    return parts


def whole_parser() -> Parser:
    """Return the parser of all commands."""
    return cli._parser([])  # noqa: SLF001  (it has no use outside, but for its description)


def leaves(parser: Parser) -> Iterator[Parser]:
    """Yield the commands that have no commands below them."""
    inner = [action for action in parser._actions if _is_group(action)]  # noqa: SLF001
    if not inner:
        yield parser
    for group in inner:
        choices: Mapping[str, Parser] = group.choices  # type: ignore[assignment]
        for child in choices.values():
            yield from leaves(child)


def _is_group(action: argparse.Action) -> bool:
    return isinstance(action.choices, dict)


def _shown(parser: Parser) -> list[argparse.Action]:
    actions = parser._actions  # noqa: SLF001
    return [
        it for it in actions if it.help != argparse.SUPPRESS and "--help" not in it.option_strings
    ]


def _row(action: argparse.Action) -> list[str]:
    name = ", ".join(action.option_strings) or str(action.metavar or action.dest)
    takes = action.option_strings and action.nargs != 0
    shown = f"{name} {action.metavar or action.dest.upper()}" if takes else name
    words = [(action.help or "") % vars(action) if action.help else ""]
    if action.choices:
        words.append("one of " + ", ".join(code(it) for it in action.choices))
    if action.required and action.option_strings:
        words.append("required")
    return [code(shown), "; ".join(filter(None, words))]


def _sentence(text: Any) -> str:  # noqa: ANN401  (argparse leaves it open)
    return str(text or "").strip()
