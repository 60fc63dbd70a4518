"""What retraining did, in markdown and as tables: names, counts and figures, no texts of rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from detectors.api import Part
from detectors.retraining import figures, forgetting
from detectors.retraining.adapting import Adapted
from detectors.retraining.calibrating import ENOUGH_FOR_PLATT, Kind
from detectors.retraining.figures import Change, Compared
from detectors.retraining.forgetting import Kept
from detectors.retraining.model import files_table
from detectors.retraining.rows import FileFacts
from detectors.tables import Table, markdown

_CALIBRATED: Final[Mapping[Kind, str]] = {
    Kind.PLATT: "slope and offset fitted",
    Kind.SHIFT: f"the base's, shifted: under {ENOUGH_FOR_PLATT} rows of one label",
    Kind.KEPT: "the base's",
    Kind.ISOTONIC: "isotonic",
}
_LEARNT: Final = """\
The prior is how strongly the base model's weights hold: at infinity they stay as they are. A
probability is calibrated on rows that the head had not learnt from."""
_WORDLESS: Final = "without a word were passed over"
_DISPUTED: Final = "have both labels: look at them again"
_PRIORS: Final = """\
The loss of each prior, by folds of your rows (cross-entropy, both labels weighing the same). Of
those that are as good as the best up to chance, the strongest was taken."""


@dataclass(frozen=True, slots=True)
class HeadReport:
    """What became of one part's head: adapted, or kept for a reason."""

    part: Part
    rows: int
    misuse: int
    wordless: int
    disputed: int
    adapted: Adapted | None
    reason: str
    compared: Compared | None
    changes: Mapping[str, Change | str]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is told of a model that was retrained."""

    name: str
    version: str
    base: str
    seed: int
    judged: str
    """On which rows figures were taken."""
    files: Sequence[FileFacts]
    heads: Sequence[HeadReport]
    kept: Sequence[Kept]

    def tables(self) -> list[Table]:
        """Return the tables, in order."""
        judged = [
            figures.table(it.compared, it.changes) for it in self.heads if it.compared is not None
        ]
        return [*judged, forgetting.table(self.kept), _learnt(self.heads), *self._origin()]

    def _origin(self) -> list[Table]:
        return [it for it in (_losses(self.heads), files_table(self.files)) if it.rows]

    def sentences(self) -> list[str]:
        """Return what it comes to."""
        judged = [figures.verdict(it.compared, it.changes) for it in self.heads if it.compared]
        return [
            *judged,
            forgetting.verdict(self.kept),
            "Thresholds that were chosen for the base model do not hold for this one.",
        ]

    def _made_of(self) -> list[str]:
        made_of = f"Version `{self.version}`, made of `lexical` {self.base}; seed {self.seed}."
        return [made_of, self.judged]

    def page(self) -> list[Table]:
        """Return what stands on a page before the figures in full."""
        summary = Table(self.name, " ".join(self._made_of()), [], [], self.sentences())
        return [summary, *self.tables()]

    def lines(self) -> list[str]:
        """Return the report in markdown."""
        return [
            f"# Detector `{self.name}`, retrained",
            "",
            *self._made_of(),
            "",
            *(f"- {it}" for it in self.sentences()),
            "",
            *(line for table in self.tables() for line in markdown(table)),
        ]


def _learnt(heads: Sequence[HeadReport]) -> Table:
    rows = [[str(it.part), f"{it.rows:,}", f"{it.misuse:,}", *_became(it)] for it in heads]
    notes = [
        f"{count:,} {it.part}s {words}."
        for it in heads
        for count, words in ((it.wordless, _WORDLESS), (it.disputed, _DISPUTED))
        if count
    ]
    header = ["head", "rows", "of them misuse", "prior", "calibration"]
    return Table("What was learnt", _LEARNT, header, rows, notes)


def _became(it: HeadReport) -> list[str]:
    if it.adapted is None:
        return [f"stays as it is: {it.reason}", _CALIBRATED[Kind.KEPT]]
    return [f"{it.adapted.prior:g}", _CALIBRATED[it.adapted.head.calibration.kind]]


def _losses(heads: Sequence[HeadReport]) -> Table:
    adapted = [it.adapted for it in heads if it.adapted and len(it.adapted.losses) > 1]
    priors = list(adapted[0].losses) if adapted else []
    rows = [
        [str(it.part), *(f"{it.adapted.losses[prior]:.3f}" for prior in priors)]
        for it in heads
        if it.adapted and priors
    ]
    return Table("How the prior was chosen", _PRIORS, ["head", *map("{:g}".format, priors)], rows)
