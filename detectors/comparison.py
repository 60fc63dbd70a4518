"""Several detectors in one report: each by itself, and side by side."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from detectors import cost
from detectors.api import Detector, Part
from detectors.card import quality
from detectors.cost import Cost
from detectors.data import Row
from detectors.estimates import MEAN, OPTIONS, WORST, Key, Options
from detectors.evaluation import Report, as_json, evaluate
from detectors.resampling import interval
from detectors.robustness import PLAIN
from detectors.tables import UNMEASURED, Table, cell, markdown

_WORDS = "Recall kept is that of the transformation which leaves the least. The same rows for all."
_DIFFERENCE = """\
What each figure is above or below that of the first detector, on the same rows in every bootstrap
round: an interval without 0 speaks of these sources, not of others."""

_FIGURES: Mapping[str, Key] = {
    "AUROC": ("misuse", MEAN, "auroc"),
    "AUROC, worst source": ("misuse", WORST, "auroc"),
    "average precision": ("misuse", MEAN, "average_precision"),
    "recall at 1%": ("misuse", MEAN, "recall_at_1pct"),
    "recall at 0.1%": ("misuse", MEAN, "recall_at_01pct"),
    "false positives, worst source": ("benign", WORST, "flagged_at_1pct"),
    "calibration error": ("calibration", "any", "ece"),
}


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One detector's reports, by part, and its cost where that was measured."""

    name: str
    version: str
    reports: Mapping[Part, Report]
    cost: Cost | None = None


def evaluate_all(
    detectors: Sequence[Detector],
    rows: Sequence[Row],
    say: Callable[[str], None],
    options: Options = OPTIONS,
    *,
    with_cost: bool = False,
) -> list[Evaluated]:
    """Report on each detector on the same rows, in the order given.

    Two of one name are told apart by their versions.
    """
    names = [detector.name for detector in detectors]
    found = []
    for detector in detectors:
        say(f"{detector.name} {detector.version}:")
        reports = evaluate(detector, rows, say, options=options)
        taken = cost.measure(detector) if with_cost else None
        is_alone = names.count(detector.name) == 1
        name = detector.name if is_alone else f"{detector.name} {detector.version}"
        found.append(Evaluated(name, detector.version, reports, taken))
    return found


def comparison(evaluated: Sequence[Evaluated]) -> list[Table]:
    """Return a table for each part with a row for each detector, and one of costs if measured."""
    parts = [part for part in Part if any(part in it.reports for it in evaluated)]
    tables = [
        it
        for part in parts
        for it in (_side_by_side(part, evaluated), _differences(part, evaluated))
    ]
    return [it for it in tables if it.rows] + list(_costs(evaluated))


def _side_by_side(part: Part, evaluated: Sequence[Evaluated]) -> Table:
    rows = [
        [
            it.name,
            *(cell(it.reports[part], key) for key in _FIGURES.values()),
            _least_kept(it.reports[part]),
        ]
        for it in evaluated
        if part in it.reports
    ]
    header = ["detector", *_FIGURES, "least recall kept"]
    return Table(f"Detectors on {part}s", _WORDS, header, rows)


def _differences(part: Part, evaluated: Sequence[Evaluated]) -> Table:
    """Compare with the first; what either lacks cannot be compared."""
    first, *others = [it for it in evaluated if part in it.reports]
    rows = [
        [it.name]
        + [_difference(it.reports[part], first.reports[part], key) for key in _FIGURES.values()]
        for it in others
    ]
    return Table(f"Against {first.name} on {part}s", _DIFFERENCE, ["detector", *_FIGURES], rows)


def _difference(report: Report, first: Report, key: Key) -> str:
    one, other = report.shown(key), first.shown(key)
    if one is None or other is None:
        return UNMEASURED
    low, high = interval(np.subtract(report.rounds[key], first.rounds[key]))
    return f"{one.value - other.value:+.3f} ({low:+.3f} to {high:+.3f})"


def _least_kept(report: Report) -> str:
    keys = [key for key in report.figures if key[2] == "recall_kept" and key[1] != PLAIN]
    if not keys:
        return UNMEASURED
    least = min(keys, key=lambda key: report.figures[key].value)
    return f"{cell(report, least)}: {least[1]}"


def _costs(evaluated: Sequence[Evaluated]) -> Iterator[Table]:
    rows = [[it.name, *_cost_cells(it.cost)] for it in evaluated if it.cost]
    header = ["detector", "engine", "µs alone", "µs in a batch of 64", "s for 1,000 exchanges"]
    if rows:
        yield Table("Cost", _COST, [*header, "machine"], rows)


def _cost_cells(it: Cost) -> list[str]:
    seconds = f"{it.thousand_exchanges_s:,.3f}"
    return [it.engine, f"{it.single_us:,.1f}", f"{it.batched_us:,.1f}", seconds, it.machine]


_COST = """\
Processor time of one core: microseconds for an English text of 500 characters; seconds for 1,000
exchanges of a prompt of 500 characters and an answer of 1,500, in batches."""


def as_markdown(evaluated: Sequence[Evaluated]) -> list[str]:
    """Return the report in lines: side by side if there are several, then each by itself."""
    several = len(evaluated) > 1
    tables = comparison(evaluated) if several else list(_costs(evaluated))
    lines = ["## Detectors side by side", ""] if several else []
    lines += [line for table in tables for line in markdown(table)]
    for it in evaluated:
        lines += [f"# {it.name} {it.version}", ""] if several else []
        lines += quality(it.reports)
    return lines


def all_as_json(evaluated: Sequence[Evaluated]) -> dict[str, Any]:
    """Return everything as plain containers, for `--json`."""
    return {
        "detectors": [
            {
                "name": it.name,
                "version": it.version,
                "parts": {str(part): as_json(report) for part, report in it.reports.items()},
                "cost": asdict(it.cost) if it.cost else None,
            }
            for it in evaluated
        ]
    }
