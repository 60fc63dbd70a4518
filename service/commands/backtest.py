"""`watchgate backtest`: what a candidate for an operating point would have fired on."""

import argparse
import math
from typing import Any, Final

from detectors.api import Category, Part
from service.commands.common import (
    Exit,
    a_time,
    add_json_argument,
    add_leaf,
    at_least_one,
    load_settings,
    opened_store,
    print_json,
    print_table,
    say,
)
from service.core.backtest import Source
from service.core.screening import ACTIONS, Point
from service.errors import WatchgateError

_NEW: Final = ("detector", "category", "part")
_COLUMNS: Final = ("day", "model", "project", "fires", "todays", "new", "gone")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `backtest`."""
    parser = add_leaf(
        commands,
        "backtest",
        "say what a candidate for an operating point would have fired on",
        "watchgate backtest --detector lexical --category any --part prompt --threshold 0.9 "
        "--since 2026-11-01",
    )
    parser.add_argument("--point", metavar="ID", help="a stored point: the version that waits")
    parser.add_argument("--version", type=at_least_one, metavar="N", help="another version of it")
    parser.add_argument("--detector", metavar="NAME", help="or a new one: this detector's score")
    parser.add_argument("--category", choices=list(map(str, Category)), help="of this")
    parts = list(map(str, Part))
    parser.add_argument("--part", choices=parts, help="on this part of an exchange")
    parser.add_argument("--action", choices=ACTIONS, default="page", help="default: page")
    parser.add_argument("--model", action="append", default=[], metavar="NAME", help="for these")
    parser.add_argument("--tier", type=int, choices=range(5), help="for models of this tier")
    parser.add_argument("--project", metavar="NAME", help="for this project")
    parser.add_argument("--surface", metavar="NAME", help="for this surface")
    bar = parser.add_mutually_exclusive_group()
    bar.add_argument("--threshold", type=_probability, metavar="P", help="from 0 to 1")
    bar.add_argument(
        "--alerts-per-day",
        type=float,
        metavar="N",
        help="the least threshold that fires no more often",
    )
    add_stretch(parser)
    parser.add_argument(
        "--examples", type=at_least_one, default=10, metavar="N", help="at most (default: 10)"
    )
    add_json_argument(parser)
    parser.set_defaults(run=_run)


def add_stretch(parser: argparse.ArgumentParser) -> None:
    """Let a command take a stretch of the recorded stream, and where it is read."""
    parser.add_argument("--since", type=a_time, default=0.0, metavar="TIME", help="in UTC")
    parser.add_argument("--until", type=a_time, default=math.inf, metavar="TIME", help="in UTC")
    parser.add_argument(
        "--source",
        choices=list(map(str, Source)),
        help="read the journals of this machine, or the stream of all machines from Kafka "
        "(default: kafka where the settings have it)",
    )


def _probability(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, and not {text!r}")
    return number


def _run(args: argparse.Namespace) -> int:
    from service.wiring import backtest  # noqa: PLC0415  (imports the detectors)
    from service.wiring.recorded import Stretch  # noqa: PLC0415

    _check(args)
    settings = load_settings(args)
    source = None if args.source is None else Source(args.source)
    stretch = Stretch(args.since, args.until, source)
    with opened_store(settings) as store:
        candidate = (
            backtest.stored_point(store, args.point, args.version) if args.point else _new(args)
        )
        if args.alerts_per_day is not None:
            candidate = backtest.with_threshold(settings, candidate, stretch, args.alerts_per_day)
        report = backtest.run(settings, store, candidate, stretch, args.examples).report()
    if args.json:
        print_json(report, indent=2)
    else:
        _show(report)
    return Exit.OK


def _check(args: argparse.Namespace) -> None:
    """Refuse what names no candidate, or two."""
    given = [name for name in _NEW if getattr(args, name) is not None]
    if args.point and given:
        raise WatchgateError(f"--point names a candidate already: leave out --{given[0]}")
    if args.version and not args.point:
        raise WatchgateError("--version is of a stored point: name it with --point")
    if not args.point and len(given) < len(_NEW):
        raise WatchgateError("name a stored point with --point, or --detector, --category, --part")
    if not args.point and args.threshold is None and args.alerts_per_day is None:
        raise WatchgateError("a new point needs --threshold or --alerts-per-day")
    if args.point and args.threshold is not None:
        raise WatchgateError("a stored point has a threshold: leave out --threshold")
    if not args.since < args.until:
        raise WatchgateError("--until is not after --since: there is nothing between them")
    if args.alerts_per_day is not None and not args.alerts_per_day >= 0:
        raise WatchgateError("--alerts-per-day is a number from 0 on")


def _new(args: argparse.Namespace) -> Point:
    return Point(
        name="candidate",
        detector=args.detector,
        category=Category(args.category),
        part=Part(args.part),
        threshold=0.0 if args.threshold is None else args.threshold,
        action=args.action,
        models=frozenset(args.model),
        tier=args.tier,
        project=args.project,
        surface=args.surface,
    )


def _show(report: dict[str, Any]) -> None:
    candidate = report["candidate"]
    rate = report["per_day"]
    say(
        f"{candidate['detector']}/{candidate['category']}/{candidate['part']} at "
        f"{candidate['threshold']:.6g}: {report['fires']} of {report['looked_at']} "
        f"{candidate['part']}s; today's points: {report['todays']}; new: {report['new']}, "
        f"gone: {report['gone']}"
    )
    say("a day: too short a stretch to tell" if rate is None else f"a day: {rate:.1f}")
    if report["places"]:
        rows = [[str(place[name]) for name in _COLUMNS] for place in report["places"]]
        print_table(_COLUMNS, rows)
    for name, ids in report["examples"].items():
        if ids:
            say(f"examples, {name}: {', '.join(ids)}")
