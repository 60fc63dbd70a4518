"""A table of a document, some of whose words are kept from the document itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

MISSING: Final = "(to be described)"
"""Stands where a person has to write; a test refuses it."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of Markdown cells. With `words`, a last column is kept, by the row's first cell."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: str | None = None

    def markdown(self, kept: Mapping[str, str]) -> str:
        """Return the table, with the words that the document has for each row."""
        headings = [*self.headings, *([self.words] if self.words else [])]
        lines = [_line(headings), "|" + "---|" * len(headings)]
        for row in self.rows:
            last = [kept.get(row[0]) or MISSING] if self.words else []
            lines.append(_line([*row, *last]))
        return "\n".join(lines)


def code(text: object) -> str:
    """Return a cell's text as code."""
    return f"`{text}`"


def sentence(docstring: str | None) -> str:
    """Return a docstring as one line."""
    return " ".join((docstring or "").split())


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
