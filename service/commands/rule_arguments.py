"""The arguments that say what callers may do, of projects and of keys."""

import argparse
from typing import Any, Final

from service.errors import ConfigError

_LISTS: Final = {
    "models": 'names of models, "*" for all but adapters',
    "surfaces": "as docs/surfaces.md names them",
    "addresses": "networks that requests may come from, as in 10.0.0.0/8",
}
_NUMBERS: Final = {
    "max_tokens": "of one answer",
    "max_choices": "answers to one request",
    "max_prompt_bytes": "of a request's body",
}
RULES: Final = (*_LISTS, "tools", *_NUMBERS)


def add_rules(parser: argparse.ArgumentParser, *, may_clear: bool) -> None:
    """Let a command take rules, and take them away if there may be some."""
    group = parser.add_argument_group("rules")
    for name, words in _LISTS.items():
        group.add_argument(f"--{name}", type=listed, metavar="A,B", help=words)
    group.add_argument(
        "--tools", action=argparse.BooleanOptionalAction, help="whether requests may bring tools"
    )
    for name, words in _NUMBERS.items():
        group.add_argument(_option(name), type=int, metavar="N", help=words)
    if may_clear:
        group.add_argument(
            "--clear",
            type=_rule_names,
            default=[],
            metavar="RULE,RULE",
            help=f"take these rules away: {', '.join(RULES)}",
        )


def rules_in(args: argparse.Namespace) -> dict[str, Any] | None:
    """Return the rules that were given, for a body; null for those that are taken away.

    Raises:
        ConfigError: a rule is both given and taken away.
    """
    given = {rule: getattr(args, rule) for rule in RULES if getattr(args, rule) is not None}
    cleared: dict[str, Any] = dict.fromkeys(getattr(args, "clear", ()))
    if both := sorted(cleared.keys() & given.keys()):
        raise ConfigError(f"--clear: {both[0]} is given a value too: do one of both")
    return cleared | given or None


def listed(text: str) -> list[str]:
    """Read `a,b`, for argparse."""
    return [item.strip() for item in text.split(",") if item.strip()]


def entitlements(text: str) -> list[str]:
    """Read `a,b`, or `none`, for argparse: an empty text, such as a variable unset, is neither."""
    if text == "none":
        return []
    if not (names := listed(text)):
        raise argparse.ArgumentTypeError("expected names such as a,b, or none")
    return names


def _rule_names(text: str) -> list[str]:
    names = [name.replace("-", "_") for name in listed(text)]
    if unknown := [name for name in names if name not in RULES]:
        there_are = ", ".join(RULES)
        raise argparse.ArgumentTypeError(f"no rule is named {unknown[0]!r}; there are: {there_are}")
    return names


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
