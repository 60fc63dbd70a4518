"""`watchgate doctor`: what is wrong with this installation, and what to do."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from service.commands.common import (
    Exit,
    add_json_argument,
    add_leaf,
    config_path,
    load_settings,
    print_json,
)
from service.core.findings import Finding, Status
from service.doctor.checkup import checkup
from service.doctor.probe import is_base_url
from service.doctor.results import Result

_EXAMPLE: Final = """\
watchgate doctor --config watchgate.yaml
  watchgate doctor --outside http://203.0.113.7:8000   from outside, without settings"""
_UNNAMED: Final = Path("watchgate.yaml")
_WIDTH: Final = max(len(status) for status in Status)


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    leaf = add_leaf(
        commands,
        "doctor",
        "tell what is wrong with this installation, and what to do; nothing is changed",
        _EXAMPLE,
    )
    leaf.add_argument(
        "--outside",
        action="append",
        default=[],
        type=_address,
        metavar="URL",
        help="try to reach vLLM at this address, past the gateway; may be given several times, "
        "and alone needs no settings",
    )
    add_json_argument(leaf)
    leaf.set_defaults(run=_doctor)


def _address(text: str) -> str:
    if not is_base_url(text):
        raise argparse.ArgumentTypeError(
            "expected an address such as http://203.0.113.7:8000, without user and ?query"
        )
    return text


def _doctor(args: argparse.Namespace) -> int:
    is_named = config_path(args) != _UNNAMED or _UNNAMED.exists()
    settings = load_settings(args) if is_named or not args.outside else None
    results = checkup(settings, args.outside)
    if args.json:
        print_json([_shown(result) for result in results])
    else:
        sys.stdout.writelines(line + "\n" for line in _lines(results))
    return Exit.OK if all(result.is_well for result in results) else Exit.PROBLEM


def _shown(result: Result) -> dict[str, Any]:
    finding = result.finding
    return {
        "check": result.check,
        "status": finding.status,
        "found": finding.found,
        "to_do": finding.to_do,
    }


def _lines(results: Sequence[Result]) -> Iterator[str]:
    """Yield the report: checks of one group that found the same are one line."""
    for group in dict.fromkeys(result.group for result in results):
        yield group
        for finding, names in _folded(it for it in results if it.group == group):
            yield f"  {finding.status:<{_WIDTH}}  {', '.join(names)}: {finding.found}"
            if finding.to_do:
                yield f"  {'':<{_WIDTH}}  to do: {finding.to_do}"
    counts = [sum(it.finding.status is status for it in results) for status in Status]
    yield ", ".join(f"{n} {status}" for n, status in zip(counts, Status, strict=True))


def _folded(results: Iterable[Result]) -> Iterator[tuple[Finding, Sequence[str]]]:
    names: dict[Finding, list[str]] = {}
    for result in results:
        names.setdefault(result.finding, []).append(result.name)
    yield from sorted(names.items(), key=lambda it: it[0].status is Status.OK)
