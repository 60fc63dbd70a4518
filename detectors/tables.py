"""The report's tables, for markdown and HTML alike: names, counts and figures, no texts of rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from detectors.api import Part
from detectors.beginnings import POINT
from detectors.estimates import MEAN, OWN, WORST, Estimate, Key
from detectors.evaluation import Report
from detectors.robustness import PLAIN

UNMEASURED = "cannot be measured"
EXACT = "†"

_NAMES = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "recall_at_1pct": "recall at 1%",
    "recall_at_01pct": "recall at 0.1%",
    "recall_kept": "recall kept",
    "flagged_at_1pct": "flagged at 1% overall",
    "flagged_at_01pct": "flagged at 0.1% overall",
    "crossed_at_point": "share that crosses",
    "ece": "calibration error",
    "brier": "Brier score",
}
"""Figures in words, in the order of the columns."""

_MISUSE = """\
Each misuse source against the benign rows of all other sources, or its own where no other has
any. Average precision depends on how many rows of either kind there are: compare it between
detectors, not between sources."""
_BENIGN = """\
Each benign source at the threshold that flags 1% (0.1%) of all benign rows, worst first."""
_CATEGORIES = """\
Misuse that its source assigns to a category, of all sources together, against all benign rows; by
`any`, and by the category's own score where the detector gives one. Most sources assign by
keyword: approximate."""
_CALIBRATION = """\
Of the probability `any`, both labels weighing the same in all: the mixture that detectors are
calibrated for. Both are 0 at best; one that always says 0.5 has a Brier score of 0.25."""
_BINS = "What the probability says against the share that is misuse, with its exact interval."
_ROBUSTNESS = """\
A sample of each source, written differently, at the threshold that flags 1% of the benign rows as
they are. Recall is the mean over sources, kept is its ratio to that of the same rows as they are;
AUROC compares with benign rows written in the same way, as does the last column: who flags
whatever is encoded keeps recall, and flags benign texts too."""

_BEGINNINGS = f"""\
Harmless answers that cross a point at {POINT:g}, the example of docs/screening.md, with exact
intervals. A stream is screened while it grows: what its first words cross is cut off there,
whatever would have followed. Steps are of about a token; of exchanges, which are scored when they
are over, they are longer."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table: cells are text, the first column names the row. `notes` follow it."""

    title: str
    words: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def tables(report: Report) -> list[Table]:
    """Return the tables of one part that have rows."""
    found = [
        _figures(report, "misuse", "Misuse, source by source", _MISUSE),
        _figures(report, "benign", "False positives, source by source", _BENIGN),
        _figures(report, "category", "Misuse, category by category", _CATEGORIES),
        _figures(report, "calibration", "Calibration", _CALIBRATION),
        _bins(report),
        _figures(report, "robustness", "Robustness", _ROBUSTNESS),
        _figures(report, "beginnings", "Beginnings of harmless answers", _BEGINNINGS),
    ]
    return [it for it in found if it.rows or it.notes]


def heading(report: Report) -> str:
    """Return the title of a part's section."""
    return f"Quality on {report.part}s it has never seen"


def introduction(report: Report) -> list[str]:
    """Return the sentences that hold for all tables of a part."""
    thresholds = [
        f"{report.thresholds[name]:.4f} flags {words} of the benign rows"
        for name, words in (("1pct", "1%"), ("01pct", "0.1%"))
        if name in report.thresholds
    ]
    return [
        _INTERVALS,
        *([f"Thresholds: {', '.join(thresholds)}."] if thresholds else []),
        *([] if report.part is Part.PROMPT else [_ANSWERS]),
    ]


_INTERVALS = f"""\
Intervals: 95%, bootstrap over rows within sources; those marked {EXACT} are exact
(Clopper-Pearson), as few rows count."""
_ANSWERS = "Few public sources label answers: look at how many there are before you trust a mean."


def figure(it: Estimate) -> str:
    """Return a figure with its interval."""
    mark = f" {EXACT}" if it.exact else ""
    return f"{it.value:.3f} ({it.low:.3f} to {it.high:.3f}){mark}"


def cell(report: Report, key: Key) -> str:
    """Return a figure, or that it cannot be measured; nothing where it makes no sense."""
    it = report.shown(key)
    if it:
        return figure(it)
    return UNMEASURED if key in report.lacking else ""


def worst_first(report: Report, kind: str) -> list[str]:
    """Return the sources of a kind: summaries, then the worst first, equals by name."""
    table = report.table(kind)
    summaries = [source for source in (MEAN, WORST, PLAIN) if source in table]
    name = {"robustness": "recall_at_1pct", "benign": "flagged_at_1pct"}.get(kind, "auroc")
    sign = -1 if kind == "benign" else 1

    def badness(source: str) -> tuple[float, str]:
        estimate = table[source].get(name)
        return (sign * estimate.value if estimate else 0, source)

    return [*summaries, *sorted(table.keys() - set(summaries), key=badness)]


def _figures(report: Report, kind: str, title: str, words: str) -> Table:
    table = report.table(kind)
    columns = _columns(table)
    rows = [
        [source, _count(report, kind, source)]
        + [cell(report, (kind, source, name)) for name in columns]
        for source in worst_first(report, kind)
    ]
    header = [_FIRST.get(kind, "source"), "rows", *(_in_words(name) for name in columns)]
    return Table(title, words, header, rows, list(_notes(report, kind)))


_FIRST = {
    "category": "category",
    "calibration": "score",
    "robustness": "written",
    "beginnings": "seen",
}
_AS_A_WHOLE = {"robustness": "Robustness", "beginnings": "This"}
"""What is not measured at all where one figure is not."""


_LABELS = ("benign", "misuse")


def _columns(table: Mapping[str, Mapping[str, Estimate]]) -> list[str]:
    present = {name for row in table.values() for name in row}
    order = [*_NAMES, *(OWN + name for name in _NAMES)]
    return sorted(present, key=order.index)


def _in_words(name: str) -> str:
    own = name.startswith(OWN)
    return ("own score: " if own else "") + _NAMES[name.removeprefix(OWN)]


def _count(report: Report, kind: str, source: str) -> str:
    if kind == "calibration":
        return f"{sum(rows for it, rows in report.rows.items() if it[0] in _LABELS):,}"
    count = report.rows.get((kind, source))
    return "" if count is None else f"{count:,}"


def _notes(report: Report, kind: str) -> Iterator[str]:
    """Say once for each reason what cannot be measured."""
    by_reason: dict[str, list[Key]] = {}
    for key, reason in report.lacking.items():
        if key[0] == kind and key[1] not in (MEAN, WORST):
            by_reason.setdefault(reason, []).append(key)
    for reason, keys in by_reason.items():
        names = ", ".join(dict.fromkeys(_in_words(key[2]) for key in keys))
        of = ", ".join(dict.fromkeys(key[1] for key in keys))
        what = _AS_A_WHOLE.get(kind, f"{names} of {of}")
        yield f"{what} {UNMEASURED}: {reason}."


def _bins(report: Report) -> Table:
    lack = report.lacking.get(("calibration", "any", "ece"))
    rows = [
        [f"{it.said:.3f}", f"{it.rows:,}", f"{it.misuse:.3f} ({it.low:.3f} to {it.high:.3f})"]
        for it in ([] if lack or not report.table("calibration") else report.reliability)
    ]
    return Table("Reliability", _BINS, ["probability, mean", "rows", "share of misuse"], rows)


def markdown(table: Table) -> list[str]:
    """Return the lines of a table, an empty one at the end."""
    lines = [f"### {table.title}", "", table.words, ""]
    if table.rows:
        rule = "|" + "---|" * len(table.header)
        lines += [_line(table.header), rule, *map(_line, table.rows), ""]
    notes = [f"- {note}" for note in table.notes]
    return lines + ([*notes, ""] if notes else [])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(it.replace("|", r"\|") for it in cells) + " |"
