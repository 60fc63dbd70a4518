"""Labelled rows: read from JSONL, filtered by licence.

A data folder holds `licences.tsv` (columns `source`, `may_train_shipped_artefact` and others),
`train_pool/*.jsonl` and `dev/*.jsonl`. A row has `id`, `text`, `label` (0 benign, 1 misuse),
`source` and `licence`, and may have `response`: then the label speaks of the response.
"""

import csv
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import msgspec

from detectors.api import Part, Sample
from detectors.errors import DataError
from detectors.reading import no_row, unreadable

DEFAULT_FOLDER = Path(__file__).parents[2] / "shared" / "data"
"""Where the data lies beside a checkout of the repository; users have none."""

LICENCES = "licences.tsv"
A_FOLDER = f"a data folder, which holds {LICENCES}, train_pool/*.jsonl and dev/*.jsonl"
OR_DATA = f"or with --data DIR {A_FOLDER} (the default, {DEFAULT_FOLDER}, is not there)"
RIGHT = (
    '{"id": "1", "text": "...", "label": 0, "source": "mine", "licence": "own"}, '
    'with "response" where the label speaks of that'
)


class Row(msgspec.Struct, frozen=True):
    """One labelled text, or one labelled answer to it. Categories are the source's: often weak."""

    id: str
    text: str
    label: int
    source: str
    licence: str
    response: str | None = None
    categories: tuple[str, ...] = ()

    @property
    def sample(self) -> Sample:
        """The text that the label speaks of: the prompt, or where there is one the answer."""
        return self.sample_of(self.parts[0])

    @property
    def parts(self) -> tuple[Part, ...]:
        """What of an exchange the label speaks of."""
        return (Part.PROMPT,) if self.response is None else (Part.ANSWER, Part.EXCHANGE)

    def sample_of(self, part: Part) -> Sample:
        """Return what a detector of a part is to score."""
        match part:
            case Part.PROMPT:
                return Sample(self.text, part)
            case Part.ANSWER:
                return Sample(self.response or "", part)
            case Part.EXCHANGE:
                return Sample(self.response or "", part, self.text)


@dataclass(frozen=True, slots=True)
class Licence:
    """What one source may be used for."""

    name: str
    trains: bool


def read_rows(path: Path) -> list[Row]:
    """Read one JSONL file; raises `DataError` with file and line where a row is malformed."""
    decoder = msgspec.json.Decoder(Row)
    rows = []
    for number, line in enumerate(_lines(path, "a file of JSON lines"), start=1):
        if not line.strip():
            continue
        try:
            row = decoder.decode(line)
        except (msgspec.DecodeError, RecursionError):
            raise DataError(f"{path}, line {number}: {no_row(line, Row, RIGHT)}") from None
        if row.label not in (0, 1):
            raise DataError(f"{path}, line {number}: label is {row.label}, but must be 0 or 1")
        rows.append(row)
    if not rows:
        raise DataError(f"{path} has no rows; a right line is {RIGHT}")
    return rows


def read_licences(path: Path) -> dict[str, Licence]:
    """Read source → licence; only the word `yes` lets a source train what is shipped."""
    table = csv.DictReader(_lines(path, A_FOLDER), delimiter="\t")
    try:
        return {
            row["source"]: Licence(row["licence"], row["may_train_shipped_artefact"] == "yes")
            for row in table
        }
    except KeyError as error:
        raise DataError(f"{path} has no column {error}") from error


def training_rows(folder: Path) -> list[Row]:
    """Return the rows of `train_pool` whose source is known and may train what is shipped."""
    _check(folder)
    licences = read_licences(folder / LICENCES)
    return trainable(_read_folder(folder / "train_pool"), licences)


def dev_rows(folder: Path) -> list[Row]:
    """Return the rows of `dev`: for reports, never for training or selection."""
    _check(folder)
    return _read_folder(folder / "dev")


def trainable(rows: Iterable[Row], licences: Mapping[str, Licence]) -> list[Row]:
    """Keep the rows of sources whose licence is known and allows training."""
    allowed = {source for source, licence in licences.items() if licence.trains}
    return [row for row in rows if row.source in allowed]


def cap_sources(rows: Iterable[Row], limit: int) -> list[Row]:
    """Keep at most `limit` rows a source, chosen by a hash of their ids: no seed, no order."""
    ordered = sorted(rows, key=lambda row: (row.source, hashlib.sha256(row.id.encode()).digest()))
    return [
        row
        for _, group in groupby(ordered, key=lambda row: row.source)
        for row in list(group)[:limit]
    ]


def _read_folder(folder: Path) -> list[Row]:
    paths = sorted(folder.glob("*.jsonl"))
    if not paths:
        raise DataError(f"{folder} holds no .jsonl file; name {A_FOLDER}, with --data DIR")
    return [row for path in paths for row in read_rows(path)]


def _check(folder: Path) -> None:
    if not folder.is_dir():
        why = "is a file" if folder.exists() else "is not there"
        raise DataError(f"{folder} {why}; name {A_FOLDER}, with --data DIR")


def _lines(path: Path, right: str) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split("\n")  # not splitlines: U+2028 is text
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error, right) from None
