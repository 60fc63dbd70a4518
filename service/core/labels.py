"""What people say of recorded exchanges, and the rows of it that detectors are retrained on."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from detectors.api import Category, Part


class Meaning(StrEnum):
    """What a label says; the order is that of the numbers in rows: 0 benign, 1 misuse."""

    BENIGN = "benign"
    MISUSE = "misuse"


PARTS: Final = (Part.PROMPT, Part.ANSWER)
"""What can be labelled: a label of the answer speaks of the exchange, too."""
KINDS: Final = tuple(it for it in Category if it is not Category.ANY)
"""The categories that misuse may be of."""


@dataclass(frozen=True, slots=True)
class Label:
    """What one person says of a part of an exchange."""

    exchange_id: str
    part: Part
    by: str
    """Who says so, as the audit log names them."""
    label: Meaning
    categories: tuple[Category, ...]
    """In the order of `KINDS`; of what is benign none."""
    note: str | None
    at: float
    """Unix seconds."""


class LabelledRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row as `detectors.retraining.rows` reads it; with `response` the label speaks of that."""

    id: str
    text: str
    label: int
    source: str
    licence: str
    response: str | None = None
    categories: tuple[Category, ...] = ()


def rows_of(labels: Sequence[Label], prompt: str, answer: str | None) -> Iterator[LabelledRow]:
    """Yield the rows of all labels of one part; `answer` is given where it is that part.

    Whoever agrees shares a row, so that a text does not weigh more for it; where people disagree
    there is a row of each label.
    """
    for number, meaning in enumerate(Meaning):
        said = [it for it in labels if it.label is meaning]
        if not said:
            continue
        first = said[0]
        yield LabelledRow(
            id=f"{first.exchange_id}/{first.part}/{meaning}",
            text=prompt,
            label=number,
            source="labels",
            licence="own",
            response=answer,
            categories=in_order(kind for it in said for kind in it.categories),
        )


def in_order(kinds: Iterable[Category]) -> tuple[Category, ...]:
    """Return categories once each, in the order of `KINDS`."""
    given = set(kinds)
    return tuple(it for it in KINDS if it in given)
