"""The report as one HTML file: tables and plots, no script, no text of rows, nothing fetched."""

import importlib.util
from collections.abc import Sequence
from html import escape

from detectors.comparison import Evaluated, comparison
from detectors.errors import DetectorError
from detectors.evaluation import Report
from detectors.tables import UNMEASURED, Table, heading, introduction, tables

_STYLE = """\
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1d2330; background: #fff;
  max-width: 76rem; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.9rem; } h2 { margin-top: 3rem; border-bottom: 2px solid #d5dae4; }
h3 { margin-top: 2.2rem; } h4 { margin: 1.8rem 0 .3rem; }
p { max-width: 50rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #e3e7ee; }
td { white-space: nowrap; line-height: 1.25; } td small { color: #5b6477; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid #9aa4b8; vertical-align: bottom; }
tbody tr:hover { background: #f4f6fa; }
.unmeasured { color: #7a8294; font-style: italic; }
.notes { font-size: .86rem; color: #4a5365; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); gap: 1rem; }
figure { margin: 0; } figure svg { width: 100%; height: auto; }
nav a { margin-right: 1.2rem; }
"""


def check() -> None:
    """Raise `DetectorError` where what draws the plots is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise DetectorError("plots need matplotlib, which is not installed: pip install matplotlib")


def render(
    evaluated: Sequence[Evaluated],
    title: str = "Detectors evaluated",
    first: Sequence[Table] = (),
) -> str:
    """Return the whole file; the same reports give the same text. Raises as `check`.

    Tables that are to stand `first` come before the comparison.
    """
    check()
    several = comparison(evaluated)
    body = [
        f"<h1>{escape(title)}</h1>",
        _navigation(evaluated),
        *(["<section><h2>In short</h2>", *map(_table, first), "</section>"] if first else []),
        '<section id="comparison"><h2>Side by side</h2>',
        *(_table(table) for table in several),
        "</section>",
        *(_detector(number, it) for number, it in enumerate(evaluated)),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _navigation(evaluated: Sequence[Evaluated]) -> str:
    links = [
        f'<a href="#d{number}-{part}">{escape(it.name)}: {part}s</a>'
        for number, it in enumerate(evaluated)
        for part in it.reports
    ]
    return "<nav>" + "".join(['<a href="#comparison">Side by side</a>', *links]) + "</nav>"


def _detector(number: int, it: Evaluated) -> str:
    head = f"<h2>{escape(it.name)} <small>{escape(it.version)}</small></h2>"
    parts = [_part(f"d{number}-{part}", report) for part, report in it.reports.items()]
    return "\n".join([head, *parts])


def _part(anchor: str, report: Report) -> str:
    from detectors import plots  # noqa: PLC0415 - matplotlib takes a second, and may be missing

    drawn = [
        f'<figure role="img" aria-label="{escape(plot.title)}">{plot.svg}</figure>'
        for plot in plots.plots(report, anchor)
    ]
    return "\n".join(
        [
            f'<section id="{anchor}"><h3>{escape(heading(report))}</h3>',
            *(f"<p>{escape(it)}</p>" for it in introduction(report)),
            '<div class="plots">',
            *drawn,
            "</div>",
            *(_table(table) for table in tables(report)),
            "</section>",
        ]
    )


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(it)}</th>' for it in table.header)
    rows = "\n".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in table.rows)
    notes = "".join(f"<li>{escape(it)}</li>" for it in table.notes)
    body = f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n'
    return (
        f"<h4>{escape(table.title)}</h4><p>{escape(table.words)}</p>"
        + (f"{body}</tbody></table></div>" if table.rows else "")
        + (f'<ul class="notes">{notes}</ul>' if notes else "")
    )


def _cell(text: str) -> str:
    """Return a cell; an interval stands below its figure."""
    kind = ' class="unmeasured"' if text == UNMEASURED else ""
    figure, bracket, interval = escape(text).partition(" (")
    below = f"<br><small>({interval}</small>" if bracket else ""
    return f"<td{kind}>{figure}{below}</td>"
