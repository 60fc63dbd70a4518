"""`watchgate detectors calibrate`: a model's probabilities fitted anew, its weights as they are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from detectors.api import Detector, Part
from detectors.data import Row
from detectors.errors import DataError
from detectors.retraining import figures, model
from detectors.retraining.adapting import folds
from detectors.retraining.calibrating import (
    ENOUGH_FOR_ISOTONIC,
    ENOUGH_FOR_PLATT,
    ENOUGH_FOR_SHIFT,
    Calibration,
    Kind,
    calibrate,
    kind_for,
    sigmoid,
)
from detectors.retraining.figures import Compared
from detectors.retraining.model import Base
from detectors.retraining.rows import FileFacts, RowFile, read
from detectors.retraining.texts import OwnTexts, texts_of
from detectors.tables import Table, markdown

_WORDS = f"""\
Isotonic from {ENOUGH_FOR_ISOTONIC} rows of each label on, slope and offset (Platt) from
{ENOUGH_FOR_PLATT} on, the offset alone from {ENOUGH_FOR_SHIFT} on; with fewer it stays. Weights,
and so the order of texts, stay as they are."""


@dataclass(frozen=True, slots=True)
class Refitted:
    """What became of one part's calibration, and its figures where there are rows."""

    part: Part
    own: OwnTexts
    calibration: Calibration
    compared: Compared | None

    @property
    def misuse(self) -> int:
        """Return how many rows are misuse."""
        return int(self.own.texts.label.sum())


def recalibrate(folder: Path | None, files: Sequence[Path], output: Path, seed: int) -> list[str]:
    """Fit the calibration on rows, write the model and its card; return the report's lines.

    Raises:
        DataError: rows cannot be read, or are too few for every head.
        ArtefactError: the model is not to be trusted.
    """
    with threadpool_limits(1):
        base = model.load(folder)
        model.check_output(output, base)
        own = read([RowFile(path) for path in files])
        found = [_refit(base, own.rows, part, seed) for part in base.heads]
        if all(it.calibration.kind is Kind.KEPT for it in found):
            raise DataError(f"too few rows: {ENOUGH_FOR_SHIFT} of each label are needed")
        heads = {it.part: replace(base.heads[it.part], calibration=it.calibration) for it in found}
        detector = model.save(output, heads, model.origin(base, own.files) | {"seed": seed})
        lines = [*_heading(base, detector, seed), *_tables(found, own.files, seed)]
        model.write_card(output, lines)
        return lines


def _refit(base: Base, rows: Sequence[Row], part: Part, seed: int) -> Refitted:
    own = texts_of(rows, part, base.asked)
    head, texts = base.heads[part], own.texts
    kind = kind_for(texts.label, isotonic=True)
    if kind is Kind.KEPT:
        return Refitted(part, own, replace(head.calibration, kind=kind), None)
    margins = head.margins(texts)
    after = np.zeros(len(margins))
    everything = np.ones(len(margins), np.bool_)
    for out in folds(texts, everything, seed):
        fitted = calibrate(texts.scored(margins[~out], ~out), head.calibration, kind)
        after[out] = fitted.logits(margins[out])
    before = texts.ceiling * sigmoid(head.logits(texts))
    compared = Compared(part, texts.label, before, texts.ceiling * sigmoid(after))
    fitted = calibrate(texts.scored(margins, everything), head.calibration, kind)
    return Refitted(part, own, fitted, compared)


def _heading(base: Base, detector: Detector, seed: int) -> list[str]:
    made_of = f"`lexical` {base.name} ({base.detector.version})"
    return [
        f"# Detector `{detector.name}`, calibrated anew",
        "",
        f"Version `{detector.version}`, made of {made_of}; seed {seed}.",
        "Each row was judged by a calibration that had not seen it.",
        "",
    ]


def _tables(found: Sequence[Refitted], files: Sequence[FileFacts], seed: int) -> list[str]:
    pairs = [it.compared for it in found if it.compared]
    names = figures.OF_CALIBRATION
    judged = [figures.table(it, figures.changes(it, seed), names) for it in pairs]
    tables = [*judged, _fitted(found), model.files_table(files)]
    return [line for table in tables for line in markdown(table)]


def _fitted(found: Sequence[Refitted]) -> Table:
    rows = [
        [str(it.part), f"{len(it.own.rows):,}", f"{it.misuse:,}", str(it.calibration.kind)]
        for it in found
    ]
    return Table("What was fitted", _WORDS, ["head", "rows", "of them misuse", "fitted"], rows)
