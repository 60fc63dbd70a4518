"""The tables of docs/kubernetes.md: the chart's values, as values.yaml describes them."""

import json
from collections.abc import Sequence
from itertools import groupby

from scripts.chart_values import VALUES, Value, values_of
from scripts.docs_tables import Table, code

_LONGEST = 60


def values() -> Sequence[Table | str]:
    """Return a heading, its words and a table for each section at the top."""
    parts: list[Table | str] = []
    found = values_of(VALUES.read_text(encoding="utf-8"))
    for name, group in groupby(found, key=lambda value: value.keys[0]):
        top, *below = group
        parts.append(f"### `{name}`")
        if below:
            parts.append(f"{top.words.rstrip('.')}.")
        rows = [_row(it) for it in (below or [top]) if not it.is_section or _is_flow(it, below)]
        parts.append(Table(["value", "default", "what it is"], rows))
    return parts


def _is_flow(value: Value, among: Sequence[Value]) -> bool:
    """Say whether a mapping is described as one value, not key by key."""
    return not any(it.keys[:-1] == value.keys for it in among)


def _row(value: Value) -> list[str]:
    shown = json.dumps(value.default, ensure_ascii=False)
    return [
        code(value.path),
        code(shown) if len(shown) <= _LONGEST else "see values.yaml",
        value.words,
    ]
