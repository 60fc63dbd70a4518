"""The table of faults: for a terminal, and in Markdown."""

from collections.abc import Sequence
from typing import Final

from load_tests.faults.account import End
from load_tests.faults.trial import Row

HEADINGS: Final = (
    "fault",
    "what was done",
    "served",
    "refused",
    "broken",
    "unrecorded",
    "lost",
    "twice",
    "serves all again after",
    "all acted on after",
    "holds",
)


def cells(row: Row) -> tuple[str, ...]:
    """One line of the table."""
    if row.not_run:
        return (row.fault, row.done, *[""] * 8, f"not run: {row.not_run}")
    return (
        row.fault,
        row.done,
        *(str(row.count(end)) for end in (End.COMPLETED, End.REFUSED, End.BROKEN)),
        *(str(number) for number in (row.unrecorded, row.lost, row.duplicated)),
        f"{row.recovered_s:.1f} s",
        f"{row.caught_up_s:.1f} s",
        "yes" if row.holds else "**no**",
    )


def markdown(rows: Sequence[Row]) -> str:
    """The whole table, and below it what does not hold."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *map(cells, rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    wrong = [f"- `{row.fault}`: {why}" for row in rows for why in row.problems[:3]]
    return "\n".join([table, "", *wrong]).rstrip()
