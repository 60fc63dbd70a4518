"""Rows of a file scored offline: JSON lines of `{id, text, response?}` in, a line each out.

A row without a response is scored as a prompt, one with a response as an exchange, or by its
answer alone where the detector judges no exchanges.
"""

import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

import click
import msgspec

from detectors.api import Category, Detector, Part, Sample, Scores, score_whole
from detectors.errors import DataError
from detectors.reading import no_row, unreadable

BATCH_ROWS: Final = 256
RIGHT: Final = '{"id": 1, "text": "..."}, with "response" where an answer is to be scored, too'


class Given(msgspec.Struct, frozen=True):
    """A row to be scored; what else is in it is passed over."""

    id: str | int
    text: str
    response: str | None = None

    def sample(self, parts: frozenset[Part]) -> Sample:
        """Return what of the row a detector of these parts is to score.

        Raises:
            DataError: it scores nothing of the kind.
        """
        if self.response is None:
            wanted = Sample(self.text, Part.PROMPT)
        elif Part.EXCHANGE in parts:
            wanted = Sample(self.response, Part.EXCHANGE, self.text)
        else:
            wanted = Sample(self.response, Part.ANSWER)
        if wanted.part not in parts:
            kinds = ", ".join(sorted(parts))
            raise DataError(f"the row has a text of the part {wanted.part}; scored are: {kinds}")
        return wanted


class Scored(msgspec.Struct, frozen=True):
    """A row's scores: `misuse` of whatever kind, and each category that has a score of its own."""

    id: str | int
    misuse: float
    categories: dict[str, float]


_given: Final = msgspec.json.Decoder(Given)
_encode: Final = msgspec.json.Encoder().encode


def score_rows(detector: Detector, source: Path, target: Path, *, show_progress: bool) -> int:
    """Score all rows of `source` into `target`, which is whole or not there; return how many.

    Raises:
        DataError: a file cannot be read or written, or a line is no row; it is named by number.
    """
    if source.resolve() == target.resolve():
        raise DataError(f"{target} holds the rows: name another file for the scores")
    if target.is_dir() or not target.parent.is_dir():
        raise DataError(f"{target} cannot be written: name a file in a folder that is there")
    unfinished = target.with_name(f"{target.name}.unfinished")
    try:
        with source.open("rb") as rows, unfinished.open("wb") as scores:
            count = _score(detector, rows, scores, source, show_progress=show_progress)
        unfinished.replace(target)
    except OSError as error:
        raise _failed(error, source, target) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def _failed(error: OSError, source: Path, target: Path) -> DataError:
    if error.filename == str(source):
        return unreadable(source, error, "a file of JSON lines")
    return DataError(f"{error.filename or target}: {error.strerror}")


def _score(
    detector: Detector, rows: BinaryIO, scores: BinaryIO, source: Path, *, show_progress: bool
) -> int:
    count, parsed = 0, _rows(rows, source, detector.parts)
    bar = click.progressbar(
        length=os.fstat(rows.fileno()).st_size,
        label="scoring",
        file=sys.stderr,
        hidden=not show_progress,
    )
    with bar:
        while batch := list(islice(parsed, BATCH_ROWS)):
            found = score_whole(detector, [sample for _, sample, _ in batch])
            scores.writelines(map(_line, batch, found))
            bar.update(sum(size for _, _, size in batch))
            count += len(batch)
    return count


def _rows(
    lines: BinaryIO, source: Path, parts: frozenset[Part]
) -> Iterator[tuple[str | int, Sample, int]]:
    """Yield each row's id, sample and size in bytes."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = _given.decode(line)
            yield row.id, row.sample(parts), len(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            why = no_row(line, Given, RIGHT)
            raise DataError(f"{source}, line {number}: {why}") from None
        except DataError as error:
            raise DataError(f"{source}, line {number}: {error}") from None


def _line(row: tuple[str | int, Sample, int], scored: Scores) -> bytes:
    categories = {str(it): score for it, score in scored.items() if it is not Category.ANY}
    misuse = scored.get(Category.ANY, max(scored.values()))
    return _encode(Scored(row[0], misuse, categories)) + b"\n"
