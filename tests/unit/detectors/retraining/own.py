"""Rows of one's own for the tests of retraining: harmless stand-ins, misuse by made-up words."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

from detectors.data import Row

CALM = ["bake", "garden", "river", "novel", "sort", "violin", "recipe", "museum", "letter", "tea"]
LOUD = ["forbiddenword", "badthing", "standin", "violationx", "labelled"]


def rows(
    count: int, *, seed: int = 7, misuse_every: int = 3, with_response: bool = False
) -> list[Row]:
    """Return rows, every so many of them misuse."""
    chance = random.Random(seed)  # noqa: S311 - the same in every run
    found = []
    for number in range(count):
        label = int(number % misuse_every == 0)
        words = [*chance.choices(CALM, k=8), *chance.choices(LOUD if label else CALM, k=2)]
        chance.shuffle(words)
        text = " ".join(words)
        found.append(Row(str(number), text, label, "own", "own", text if with_response else None))
    return found


def write(path: Path, chosen: Sequence[Row]) -> Path:
    """Write rows as a file of one's own."""
    lines = [
        {"id": row.id, "text": row.text, "label": row.label}
        | ({} if row.response is None else {"response": row.response})
        for row in chosen
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
