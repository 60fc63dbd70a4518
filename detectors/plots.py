"""The report's plots, as inline SVG by matplotlib: small, sharp, without any script.

Text stays text, in the reader's own fonts. The same figures give the same bytes: identifiers are
hashed with a salt that is the plot's place on the page, and no date is written.
"""

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from detectors.curves import FALSE_POSITIVE_RATES, HISTOGRAM_BINS, RECALLS
from detectors.estimates import NEEDS, WORST, Estimate
from detectors.evaluation import Report
from detectors.robustness import PLAIN
from detectors.tables import worst_first

_RC: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8,
}
_BENIGN, _MISUSE, _BLUE, _GREY = "#3b7dd8", "#d1495b", "#33658a", "#8a8f99"
_WIDTH = 6.0
_NUMBERED = re.compile(r' id="[A-Za-z0-9.]+_[0-9]+"')
"""Identifiers that matplotlib counts up: nothing refers to them, and each plot has the same."""
_TICKS = (0.0001, 0.001, 0.01, 0.05, 0.1, 0.2, 0.5, 1)
_WORST_BENIGN = ("benign", WORST, "flagged_at_1pct")

Axes = Any
"""matplotlib's; its stubs would make this module fail to check where it is not installed."""


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot; the SVG has no XML declaration, so that it can stand in HTML."""

    title: str
    svg: str


def plots(report: Report, anchor: str) -> list[Plot]:
    """Return the plots of one part that there are figures for; `anchor` is unique on the page."""
    return [
        Plot(title, _svg(title, height, draw, f"{anchor} {title}"))
        for title, height, draw in _drawings(report)
    ]


def _drawings(report: Report) -> Iterator[tuple[str, float, Callable[[Axes], None]]]:
    """Yield title, height in inches, and what draws."""
    curves = report.curves
    if any(_measured(report, curves.recall)):
        yield "ROC by misuse source", 4.2, lambda axes: _roc(axes, report)
        yield "Precision and recall by misuse source", 4.2, lambda axes: _precision(axes, report)
    if report.shown(("calibration", "any", "ece")):
        yield "Reliability, half benign and half misuse", 4.2, lambda axes: _reliable(axes, report)
    yield "Probabilities given", 4.2, lambda axes: _histograms(axes, report)
    names = [it for it in worst_first(report, "benign") if it != WORST]
    if report.shown(_WORST_BENIGN):
        height = _height(names)
        yield "False positives at 1% overall", height, lambda axes: _flagged(axes, report, names)
    ways = [it for it in worst_first(report, "robustness") if it != PLAIN]
    if ways:
        height = 1.3 * _height(ways)
        yield "Robustness, at 1% overall", height, lambda axes: _robust(axes, report, ways)


def _height(names: Sequence[str]) -> float:
    return max(2.0, 1.0 + 0.28 * len(names))


def _svg(title: str, height: float, draw: Callable[[Axes], None], salt: str) -> str:
    with rc_context(_RC | {"svg.hashsalt": salt}):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        axes = figure.subplots()
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
        draw(axes)
        file = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Type", "Format"))
        figure.savefig(file, format="svg", metadata=nothing)
    text = file.getvalue()
    return _NUMBERED.sub("", text[text.index("<svg") :])


def _roc(axes: Axes, report: Report) -> None:
    rates, least = FALSE_POSITIVE_RATES, _least_rate(report)
    for source, recall in _measured(report, report.curves.recall):
        axes.plot(rates, recall, label=source, linewidth=1.4)
    axes.plot(rates, rates, color=_GREY, linestyle=":", label="chance")
    axes.axvline(0.01, color=_GREY, linewidth=0.8)
    axes.set(xscale="log", xlim=(least, 1), ylim=(0, 1.01), ylabel="recall")
    ticks = [it for it in _TICKS if it >= least]
    axes.set_xticks(ticks, [f"{it:g}" for it in ticks])
    axes.set_xlabel("false-positive rate, from the least that the rows carry (the line: 0.01)")
    axes.legend(loc="upper left")


def _least_rate(report: Report) -> float:
    """Return the least false-positive rate that the benign rows carry, by what figures need."""
    benign = sum(rows for (kind, _), rows in report.rows.items() if kind == "benign")
    return min(max(NEEDS.above / benign, 1e-4), 0.5)


def _measured(
    report: Report, curves: Mapping[str, Sequence[float]]
) -> Iterator[tuple[str, Sequence[float]]]:
    return (it for it in curves.items() if report.shown(("misuse", it[0], "auroc")))


def _precision(axes: Axes, report: Report) -> None:
    for source, precision in _measured(report, report.curves.precision):
        axes.plot(RECALLS, precision, label=source, linewidth=1.4)
    axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="recall", ylabel="precision among the rows")
    axes.legend(loc="lower left")


def _reliable(axes: Axes, report: Report) -> None:
    bins = report.reliability
    said = [it.said for it in bins]
    misuse = [it.misuse for it in bins]
    errors = [[it.misuse - it.low for it in bins], [it.high - it.misuse for it in bins]]
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle=":")
    axes.errorbar(said, misuse, yerr=errors, marker="o", markersize=4, capsize=2, color=_BLUE)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability that was given")
    axes.set_ylabel("share that is misuse")


def _histograms(axes: Axes, report: Report) -> None:
    edges = [number / HISTOGRAM_BINS for number in range(HISTOGRAM_BINS)]
    sides = (("benign", report.curves.benign, _BENIGN), ("misuse", report.curves.misuse, _MISUSE))
    for name, shares, colour in sides:
        axes.bar(
            edges, shares, width=1 / HISTOGRAM_BINS, align="edge", alpha=0.55, label=name,
            color=colour,
        )  # fmt: skip
    if report.shown(_WORST_BENIGN):
        axes.axvline(report.thresholds["1pct"], color=_GREY, linewidth=0.8, label="1% of benign")
    axes.set(xlim=(0, 1), xlabel="probability", ylabel="share of the rows")
    axes.legend()


def _flagged(axes: Axes, report: Report, names: Sequence[str]) -> None:
    shares = [report.figures["benign", name, "flagged_at_1pct"] for name in names]
    _bars(axes, names, shares, _BENIGN, (0, 0.7))
    axes.axvline(0.01, color=_GREY, linewidth=0.8)
    axes.set_xlabel("share flagged, with 95% interval (the line: 1%)")


def _robust(axes: Axes, report: Report, names: Sequence[str]) -> None:
    recall = [report.figures["robustness", name, "recall_at_1pct"] for name in names]
    wrong = [report.figures["robustness", name, "flagged_at_1pct"] for name in names]
    _bars(axes, names, recall, _MISUSE, (-0.2, 0.38), "misuse")
    _bars(axes, names, wrong, _BENIGN, (0.2, 0.38), "benign")
    plain = report.figures["robustness", PLAIN, "recall_at_1pct"].value
    axes.axvline(plain, color=_GREY, linewidth=0.8, label="misuse as it is")
    axes.set(xlim=(0, 1), xlabel="share flagged, with 95% interval")
    axes.legend(loc="upper right")


def _bars(  # noqa: PLR0913, PLR0917 - what a bar is made of
    axes: Axes,
    names: Sequence[str],
    shares: Sequence[Estimate],
    colour: str,
    place: tuple[float, float],
    label: str | None = None,
) -> None:
    """Draw a bar a name, the first on top; `place` is their offset and height."""
    places = [number + place[0] for number in range(len(names))]
    values = [it.value for it in shares]
    errors = [[it.value - it.low for it in shares], [it.high - it.value for it in shares]]
    how = {"color": colour, "ecolor": "#555555", "capsize": 2, "label": label}
    axes.barh(places, values, height=place[1], xerr=errors, **how)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(left=0)
