"""What `watchgate points propose` takes: a threshold, or rows and the share of them to keep."""

import argparse
import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from service.commands.api_client import address_of
from service.commands.common import duration_s, load_settings, name, say
from service.core.error_rates import NoThreshold, crossing, threshold_at
from service.errors import ConfigError

if TYPE_CHECKING:
    from service.wiring.detectors import Detectors
    from service.wiring.measuring import Judge

_CATEGORIES: Final = "what is looked for: any, bio, cyber, …"
_PARTS: Final = ("prompt", "answer", "exchange")
_ACTIONS: Final = ("record", "case", "page", "block")
_WHAT: Final = ("detector", "category", "part")
_SCOPE: Final = ("tier", "models", "project", "surface")


def add_proposal(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a proposal."""
    words = "a point that is there: propose a version of it (default: a new point)"
    parser.add_argument("id", nargs="?", metavar="ID", help=words)
    parser.add_argument("--detector", type=name, help="as `detectors list` shows it")
    parser.add_argument("--category", metavar="NAME", help=_CATEGORIES)
    parser.add_argument("--part", choices=_PARTS, help="what of an exchange is scored")
    parser.add_argument("--action", choices=_ACTIONS, help="what follows from a crossing")
    _add_scope(parser)
    _add_threshold(parser)
    parser.add_argument("--owner", metavar="WORDS", help="who answers for it (default: you)")
    ends = parser.add_mutually_exclusive_group()
    ends.add_argument("--expires", type=duration_s, metavar="30d", help="it applies for so long")
    ends.add_argument("--never-expires", action="store_true", help="until it is retired")


def _add_scope(parser: argparse.ArgumentParser) -> None:
    scope = parser.add_argument_group("scope, of a new point", "what is not given is all")
    scope.add_argument("--tier", type=int, metavar="N", help="for models of this tier alone")
    scope.add_argument("--models", metavar="NAME,…", help="for these models alone")
    scope.add_argument("--project", type=name, help="for this project's callers alone")
    scope.add_argument("--surface", metavar="NAME", help="for this API alone, such as chat")


def _add_threshold(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "threshold", "rows are JSON lines {id, text} or, for answers and exchanges, also response"
    )
    one = group.add_mutually_exclusive_group()
    one.add_argument("--threshold", type=_share, metavar="T", help="from this score on it crosses")
    words = "the smallest threshold that at most this share of benign rows reach"
    one.add_argument("--fpr", type=_rate, metavar="SHARE", help=words)
    group.add_argument("--benign", type=Path, metavar="FILE", help="rows that must not cross it")
    group.add_argument("--misuse", type=Path, metavar="FILE", help="rows that should cross it")


def body_of(args: argparse.Namespace, old: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the admin API takes; `old` is the version that a new one changes, if any.

    Raises:
        ConfigError: arguments are missing or make no sense together, or rows cannot be used.
    """
    _check(args, is_new=not old)
    body: dict[str, Any] = {"action": args.action, "owner": args.owner}
    if not old:
        body |= {field: getattr(args, field) for field in (*_WHAT, *_SCOPE)}
        body["models"] = None if args.models is None else args.models.split(",")
    body |= _threshold(args, old)
    given = {field: value for field, value in body.items() if value is not None}
    if args.expires is not None or args.never_expires:
        given["expires_in_s"] = args.expires  # null takes the end of the version before away
    return given


def _check(args: argparse.Namespace, *, is_new: bool) -> None:
    if is_new:
        _check_new(args)
    elif given := [it for it in (*_WHAT, *_SCOPE) if getattr(args, it) is not None]:
        words = "a version keeps what the point is for: propose a new point"
        raise ConfigError(f"--{given[0]}: {words}")
    if args.fpr is not None and args.benign is None:
        raise ConfigError("--benign: --fpr needs rows to find the threshold by")
    if args.misuse is not None and args.benign is None:
        raise ConfigError("--benign: --misuse alone says nothing of what a threshold costs")


def _check_new(args: argparse.Namespace) -> None:
    for field in (*_WHAT, "action"):
        if getattr(args, field) is None:
            raise ConfigError(f"--{field}: a new point needs one")
    if args.threshold is None and args.fpr is None:
        raise ConfigError("--threshold or --fpr: a new point needs one")


def _threshold(args: argparse.Namespace, old: Mapping[str, Any]) -> dict[str, Any]:
    if args.benign is None:
        return {"threshold": args.threshold}
    from service.wiring.measuring import judge_of, measured  # noqa: PLC0415  (loads detectors)

    what = [old[field] if old else getattr(args, field) for field in _WHAT]
    detector, category, part = what
    with contextlib.closing(judge_of(detector, category, part, _detectors(args))) as judge:
        benign = _scores(judge, args.benign)
        misuse = None if args.misuse is None else _scores(judge, args.misuse)
    threshold = args.threshold
    if args.fpr is not None:
        threshold = _found(args, benign)
    elif threshold is None:
        threshold = old["threshold"]
    _tell(threshold, benign, misuse)
    return {"threshold": threshold, "measured": measured(judge, threshold, benign, misuse)}


def _detectors(args: argparse.Namespace) -> "Detectors":
    """Return the detectors of the settings, where they are at hand, else those that are shipped."""
    from service.wiring.detectors import SHIPPED, detectors_of  # noqa: PLC0415  (as above)

    return SHIPPED if address_of(args) else detectors_of(load_settings(args))


def _found(args: argparse.Namespace, benign: Sequence[float]) -> float:
    try:
        return threshold_at(benign, args.fpr)
    except NoThreshold as error:
        raise ConfigError(f"--benign {args.benign}: {error}") from None


def _scores(judge: "Judge", path: Path) -> list[float]:
    say(f"scoring {path} …")
    return judge.scores(path)


def _tell(threshold: float, benign: Sequence[float], misuse: Sequence[float] | None) -> None:
    say(f"the threshold {threshold:.6g} is crossed by {_counted(benign, threshold, 'benign')}")
    if misuse is not None:
        say(f"and by {_counted(misuse, threshold, 'misuse')}")


def _counted(scores: Sequence[float], threshold: float, kind: str) -> str:
    it = crossing(scores, threshold)
    bounds = f"{it.low:.3%} to {it.high:.3%} at 95% confidence"
    return f"{it.count} of {it.total} {kind} rows: {it.share:.3%}, {bounds}"


def _share(text: str) -> float:
    return _between(text, "a number from 0 to 1", lambda it: 0 <= it <= 1)


def _rate(text: str) -> float:
    return _between(text, "a share over 0 and under 1, such as 0.001", lambda it: 0 < it < 1)


def _between(text: str, expected: str, is_good: Callable[[float], bool]) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not is_good(number):
        raise argparse.ArgumentTypeError(f"expected {expected}, and not {text!r}")
    return number
