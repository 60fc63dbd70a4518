"""`watchgate check-config`."""

import argparse

import yaml

from service.commands.common import Exit, add_json_argument, add_leaf, load_settings, print_json
from service.settings import redacted
from service.wiring.in_effect import in_effect


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    leaf = add_leaf(
        commands,
        "check-config",
        "validate the settings, and print those in effect and what each model gets under them",
        "watchgate check-config --config watchgate.yaml --json",
    )
    add_json_argument(leaf)
    leaf.set_defaults(run=_check)


def _check(args: argparse.Namespace) -> int:
    settings = load_settings(args)
    effective = redacted(settings) | {"in_effect": in_effect(settings)}
    if args.json:
        print_json(effective)
    else:
        print(yaml.safe_dump(effective, sort_keys=False), end="")  # noqa: T201  (its output)
    return Exit.OK
