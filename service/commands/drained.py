"""`watchgate drained`: whether the journals of a data_dir can be given up."""

import argparse
import time
from typing import Final

from service.commands.common import Exit, add_leaf, duration_s, load_settings, say
from service.events.journal import leftovers
from service.wiring.parts import journal_groups, journal_root

_LOOK_S: Final = 0.5
_SAY_S: Final = 10.0


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    leaf = add_leaf(
        commands,
        "drained",
        "say whether data_dir can be given up: nobody writes its journals, and all is read or "
        "in Kafka",
        "watchgate drained --wait 5m",
    )
    leaf.add_argument(
        "--wait", type=duration_s, metavar="5m", default=0, help="for so long (default: look once)"
    )
    leaf.set_defaults(run=_drained)


def _drained(args: argparse.Namespace) -> int:
    settings = load_settings(args)
    root, groups = journal_root(settings), journal_groups(settings)
    if not root.is_dir():
        say(f"{root} is not there: nothing was written yet.")
        return Exit.OK
    until, next_word = time.monotonic() + args.wait, time.monotonic() + _SAY_S
    while (left := leftovers(root, groups)) and (now := time.monotonic()) < until:
        if now >= next_word:
            say(f"waiting: {'; '.join(left)}")
            next_word = now + _SAY_S
        time.sleep(min(_LOOK_S, max(0.0, until - now)))
    for words in left:
        say(words)
    if not left:
        say(f"{root} is drained.")
    return Exit.PROBLEM if left else Exit.OK
