"""The tables of docs/ that must say what the code says: `python -m scripts.make_docs [--check]`.

A document holds its tables between `<!-- made: NAME -->` and `<!-- /made -->`. What the code knows
is written anew. A last column named "what it is" or the like holds words that only a person knows:
they are kept, by the row's first cell, and `--check` refuses a row that has none.
docs/openapi.json and docs/admin-openapi.json are made whole.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from scripts import (
    docs_access,
    docs_admin,
    docs_chart,
    docs_commands,
    docs_events,
    docs_openapi,
    docs_service,
    docs_settings,
)
from scripts.docs_tables import Table

DOCS: Final = Path(__file__).resolve().parents[1] / "docs"
MAKERS: Final[Mapping[str, Callable[[], Sequence[Table | str]]]] = {
    "access": docs_access.access,
    "commands": docs_commands.commands,
    "settings": docs_settings.settings,
    "metrics": docs_service.metrics,
    "errors": docs_service.errors,
    "actions": docs_service.actions,
    "outcomes": docs_events.outcomes,
    "surfaces": docs_service.surfaces,
    "tiers": docs_service.tiers,
    "safeguards": docs_service.safeguards,
    "events": docs_events.events,
    "roles": docs_admin.roles,
    "routes": docs_admin.routes,
    "values": docs_chart.values,
}
WHOLE: Final[Mapping[Path, Callable[[], str]]] = {
    DOCS / "openapi.json": docs_openapi.document,
    DOCS / "admin-openapi.json": docs_admin.document,
}
"""What is made whole."""
_BLOCK: Final = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- /made -->)", re.DOTALL)
_ROW: Final = re.compile(r"^\| (`[^|]+?`) \|(?:.*\|)? ([^|]*?) \|$", re.MULTILINE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the documents, or with --check say which differ; return 0, or 1 if any does."""
    check = "--check" in (sys.argv[1:] if arguments is None else arguments)
    stale = [document for document in made_documents() if differs(document)]
    for document in stale:
        if not check:
            document.write_text(made_anew(document), encoding="utf-8")
        print(f"{document}: {'stale: run python -m scripts.make_docs' if check else 'written'}")
    return 1 if check and stale else 0


def made_documents() -> list[Path]:
    """Return the documents that hold a table made here, and those that are made whole."""
    tables = [it for it in sorted(DOCS.glob("*.md")) if _BLOCK.search(it.read_text("utf-8"))]
    return [*tables, *WHOLE]


def differs(document: Path) -> bool:
    """Say whether the document is not what the code would make of it."""
    return not document.exists() or made_anew(document) != document.read_text(encoding="utf-8")


def made_anew(document: Path) -> str:
    """Return what the code makes of a document."""
    if document in WHOLE:
        return WHOLE[document]()
    return render(document.read_text(encoding="utf-8"))


def render(text: str) -> str:
    """Return a document's text with its tables made anew, their words kept."""

    def made(block: re.Match[str]) -> str:
        words = {row[1]: row[2] for row in _ROW.finditer(block[0])}
        parts = [
            part if isinstance(part, str) else part.markdown(words) for part in MAKERS[block[2]]()
        ]
        return block[1] + "\n" + "\n\n".join(parts) + "\n\n" + block[3]

    return _BLOCK.sub(made, text)


if __name__ == "__main__":
    sys.exit(main())
