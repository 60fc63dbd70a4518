"""What the commands share: the settings, the store, and how results are printed."""

import argparse
import getpass
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from service.core.callers import is_project_name
from service.errors import WatchgateError
from service.settings import CONFIG_VARIABLE, Settings, load
from service.wiring.points import POINTS_CHECK

if TYPE_CHECKING:
    from service.store import Store


_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"([1-9][0-9]{0,8})([smhd])")
MAX_DURATION_S: Final = 100 * 366 * 86400


class Exit(IntEnum):
    """What the exit code of each command says."""

    OK = 0
    PROBLEM = 1
    USAGE = 2


def add_leaf(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    summary: str,
    example: str,
) -> argparse.ArgumentParser:
    """Add a command whose --help has an example, and which takes --config."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config_argument(parser)
    return parser


def add_config_argument(parser: argparse.ArgumentParser) -> None:
    """Let a command take --config FILE."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=f"the settings (default: ${CONFIG_VARIABLE}, else ./watchgate.yaml)",
    )


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    """Let a command print JSON."""
    parser.add_argument("--json", action="store_true", help="print JSON, on stdout alone")


def load_settings(args: argparse.Namespace) -> Settings:
    """Read the settings that --config, the environment or the folder names.

    Raises:
        ConfigError: they are wrong, or there are none.
    """
    return load(config_path(args), [POINTS_CHECK])


def config_path(args: argparse.Namespace) -> Path:
    """Return the file that --config, the environment or the folder names."""
    named: Path | None = args.config
    return named or Path(os.environ.get(CONFIG_VARIABLE) or "watchgate.yaml")


@contextmanager
def opened_store(settings: Settings) -> "Iterator[Store]":
    """Open the store for one command.

    Raises:
        WatchgateError: the database failed; its own words might quote what was to be stored.
    """
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415  (0.2 s that not all commands need)

    from service.store import open_store  # noqa: PLC0415

    store = open_store(settings.store.url)
    try:
        yield store
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        what = (str(cause).splitlines() or [""])[0]
        raise WatchgateError(f"the store failed: {type(cause).__name__}: {what}") from None
    finally:
        store.close()


def actor() -> str:
    """Return who acts, for the records: `cli:` and the user's name."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"cli:{os.getuid()}"


def at_least_one(text: str) -> int:
    """Read a whole number over 0, for argparse."""
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number over 0, and not {text!r}")
    return number


def duration_s(text: str) -> int:
    """Read `90d`, `24h`, `30m` or `45s` as seconds, for argparse."""
    match = _DURATION.fullmatch(text)
    seconds = int(match[1]) * _UNIT_S[match[2]] if match else 0
    if not 0 < seconds <= MAX_DURATION_S:
        raise argparse.ArgumentTypeError(
            f"expected a whole number over 0 and s, m, h or d, as in 90d, and not {text!r}",
        )
    return seconds


def name(text: str) -> str:
    """Read the name of an organisation, a project or a service account, for argparse."""
    if not is_project_name(text):
        raise argparse.ArgumentTypeError(
            "expected 1 to 63 letters, digits, dots, dashes and underscores, "
            f"the first a letter or a digit, and not {text!r}",
        )
    return text


def shown_time(unix_s: float | None) -> str | None:
    """Spell a time as RFC 3339, in UTC, to the second."""
    if unix_s is None:
        return None
    return datetime.fromtimestamp(int(unix_s), UTC).isoformat().replace("+00:00", "Z")


def print_json(value: Any, *, indent: int | None = None) -> None:  # noqa: ANN401  (any JSON)
    """Print a result on stdout."""
    sys.stdout.write(json.dumps(value, indent=indent) + "\n")


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str | None]]) -> None:
    """Print rows in aligned columns on stdout; what is missing is a dash."""
    cells = [list(headings), *([cell or "-" for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


def say(words: str) -> None:
    """Tell the person, on stderr."""
    sys.stderr.write(words + "\n")


def a_time(text: str) -> float:
    """Read a time as Unix seconds; without a zone it is of UTC."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        expected = "expected a time such as 2026-11-01 or 2026-11-01T12:00:00Z"
        raise argparse.ArgumentTypeError(f"{expected}, and not {text!r}") from None
    return (given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp()
