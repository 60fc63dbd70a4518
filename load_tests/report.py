"""The results as tables: for a terminal, and in Markdown."""

from collections.abc import Iterator, Sequence
from typing import Final

from load_tests.results import FIGURES, REFERENCE, Results
from load_tests.stats import Summary

HEADINGS: Final = ("median (low to high)", f"ratio to {REFERENCE}")


def table(results: Results) -> str:
    """Median (lowest to highest) of the rounds, and the ratio to Envoy where Envoy was measured."""
    parts = []
    for figure in results.figures():
        lines = [_line(FIGURES[figure].title, *HEADINGS, _rate_heading(figure))]
        lines += [_line(*row) for row in _rows(results, figure)]
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, *_absent(results)])


def markdown(results: Results) -> str:
    """The same, as a document shows it."""
    parts = []
    for figure in results.figures():
        headings = (FIGURES[figure].title, *HEADINGS, _rate_heading(figure))
        lines = [_row(headings), "|---|---|---|---|"]
        lines += [_row(row) for row in _rows(results, figure)]
        parts.append("\n".join(lines))
    absent = "\n".join(f"- {said}" for said in _absent(results))
    return "\n\n".join(part for part in (*parts, absent) if part)


def _rows(results: Results, figure: str) -> Iterator[tuple[str, ...]]:
    for name in results.systems(figure):
        yield (name, *_cells(results, figure, name))
        if gateway := results.gateway(figure, name):
            form = f",.{FIGURES[figure].digits}f"
            yield (f"of it {name}'s gateway process", _range(gateway, form), "", "")


def _cells(results: Results, figure: str, system: str) -> tuple[str, ...]:
    form = f",.{FIGURES[figure].digits}f"
    ratios, rate = results.ratios(figure, system), results.per_second(figure, system)
    return (
        _range(Summary.of(results.values(figure, system)), form),
        _range(ratios, ".2f") if ratios else "",
        f"{rate:,.0f}" if FIGURES[figure].counts else "",
    )


def _absent(results: Results) -> list[str]:
    missing = [f"{name} is missing: {why}" for name, why in results.missing.items()]
    failed = [
        f"{system} failed at “{FIGURES[figure].title}”: {why}"
        for (figure, system), why in results.failed.items()
    ]
    return missing + failed


def _rate_heading(figure: str) -> str:
    counts = FIGURES[figure].counts
    return f"{counts} per second" if counts else ""


def _range(summary: Summary, form: str) -> str:
    return f"{summary.median:{form}} ({summary.low:{form}} to {summary.high:{form}})"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _line(name: str, *cells: str) -> str:
    return (f"{name:<50}" + "".join(f"{cell:>32}" for cell in cells)).rstrip()
