"""Labelled rows of one's own: JSON lines, from people or from whatever keeps their labels.

A row has `id`, `text` and `label` (0 benign, 1 misuse); with `response` the label speaks of the
response. `source`, `licence` and `categories` may be there, all else is passed over. `watchgate
labels export` writes the labels of exchanges in this shape: the exchange's id begins that of the
row, its prompt is `text` and its answer `response`.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from detectors.data import Row
from detectors.errors import DataError
from detectors.reading import no_row, unreadable

OWN = "own"
"""The licence of rows that name none."""
RIGHT = '{"id": 1, "text": "...", "label": 0}, with "response" where the label speaks of that'


class OwnRow(msgspec.Struct, frozen=True):
    """One row as it stands in a file; rows that only show what was forgotten need no label."""

    id: str | int
    text: str
    label: int | None = None
    response: str | None = None
    source: str | None = None
    licence: str | None = None
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RowFile:
    """A file of rows, and the licence of those that name none."""

    path: Path
    licence: str = OWN


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a card and a manifest tell of a file: never a text."""

    name: str
    rows: int
    misuse: int
    sha256: str
    licences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OwnRows:
    """The rows of all files, and what there is to tell of each."""

    rows: tuple[Row, ...]
    files: tuple[FileFacts, ...]


UNLABELLED = -1
"""The label of a row without one."""


def read(files: Sequence[RowFile], *, labels_needed: bool = True) -> OwnRows:
    """Read files of rows.

    Raises:
        DataError: a file cannot be read or has no rows, or a line is no row; it is named by number.
    """
    found, facts = [], []
    for file in files:
        blob = _bytes(file.path)
        rows = list(_rows(blob, file, labels_needed=labels_needed))
        if not rows:
            raise DataError(f"{file.path} has no rows; a right line is {RIGHT}")
        found += rows
        facts.append(_facts(file.path.name, blob, rows))
    return OwnRows(tuple(found), tuple(facts))


def _facts(name: str, blob: bytes, rows: Sequence[Row]) -> FileFacts:
    licences = Counter(row.licence for row in rows)
    misuse = sum(row.label == 1 for row in rows)
    digest = hashlib.sha256(blob).hexdigest()
    return FileFacts(name, len(rows), misuse, digest, tuple(sorted(licences)))


def _rows(blob: bytes, file: RowFile, *, labels_needed: bool) -> Iterator[Row]:
    decoder = msgspec.json.Decoder(OwnRow)
    for number, line in enumerate(blob.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            why = no_row(line, OwnRow, RIGHT)
            raise DataError(f"{file.path}, line {number}: {why}") from None
        if row.label not in (0, 1) and (labels_needed or row.label is not None):
            said = "missing" if row.label is None else row.label
            wanted = "must be 0 (benign) or 1 (misuse)"
            raise DataError(f"{file.path}, line {number}: label is {said}, but {wanted}")
        yield _as_row(row, file)


def _as_row(row: OwnRow, file: RowFile) -> Row:
    return Row(
        id=str(row.id),
        text=row.text,
        label=UNLABELLED if row.label is None else row.label,
        source=row.source or file.path.stem,
        licence=row.licence or file.licence,
        response=row.response,
        categories=row.categories,
    )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error, "a file of JSON lines") from None
