"""The way from a configuration to a model, its card and the report before and after."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from detectors.api import Part
from detectors.comparison import Evaluated
from detectors.data import Row, cap_sources, training_rows
from detectors.errors import DataError
from detectors.estimates import Needs, Options
from detectors.evaluation import report as full_report
from detectors.figures import Scored
from detectors.metrics import Scores
from detectors.retraining import figures, forgetting, model
from detectors.retraining.adapting import (
    LEAST_TEXTS,
    PRIORS,
    Adapted,
    Head,
    Mask,
    adapt,
    held_out,
    lesson,
    out_of_fold,
)
from detectors.retraining.calibrating import sigmoid
from detectors.retraining.config import TrainingConfig
from detectors.retraining.figures import Compared
from detectors.retraining.forgetting import CheckSet
from detectors.retraining.model import Base
from detectors.retraining.report import HeadReport, Report
from detectors.retraining.rows import RowFile, read
from detectors.retraining.texts import OwnTexts, texts_of
from detectors.validation import Labelled

Say = Callable[[str], None]

POOL_ROWS_PER_SOURCE = 50
SOURCE = "own rows"
_NEEDS = Needs(rows=figures.LEAST_ROWS, above=figures.LEAST_ABOVE)


@dataclass(frozen=True, slots=True)
class Retrained:
    """A report, and for its page the figures before and after in full."""

    report: Report
    evaluated: Sequence[Evaluated]


def retrain(config: TrainingConfig, say: Say) -> Retrained:
    """Adapt, save, compare and write the card, on one thread: so the same rows give the same model.

    Raises:
        DataError: rows cannot be read, or teach no head.
        ArtefactError: the base model is not to be trusted.
    """
    with threadpool_limits(1):
        return _retrain(config, say)


def _retrain(config: TrainingConfig, say: Say) -> Retrained:
    base = model.load(config.base)
    model.check_output(config.output, base)
    own = read(config.rows)
    checks = _checks(config)  # read now: before the work
    heads = [_head(base, own.rows, part, config, say) for part in base.heads]
    if not any(it.adapted for it in heads):
        reasons = "; ".join(f"{it.part}: {it.reason}" for it in heads)
        raise DataError(f"the rows teach no head ({reasons})")
    new = {it.part: it.adapted.head if it.adapted else base.heads[it.part] for it in heads}
    about = model.origin(base, own.files) | {"seed": config.seed}
    detector = model.save(config.output, new, about)
    changed = [it.part for it in heads if it.adapted]
    kept = [
        it for part in changed for it in forgetting.compare(base.detector, detector, part, checks)
    ]
    names = f"{base.name} ({base.detector.version})"
    told = Report(
        detector.name, detector.version, names, config.seed, _judged(config), own.files, heads, kept
    )
    model.write_card(config.output, [*told.lines(), _CARD])
    return Retrained(told, _evaluated(base, told))


_CARD = """\
## What it cannot do
What the base model cannot, which its card tells, and more: it was judged on rows of the same origin
as those that it learnt from. How it does on other traffic, its scores as a shadow tell."""


def _judged(config: TrainingConfig) -> str:
    if config.held_out:
        return f"Figures are of {config.held_out:.0%} of the rows, which it did not learn from."
    return "It learnt from all rows; each was judged by a head of the other folds."


def _checks(config: TrainingConfig) -> list[CheckSet]:
    checks = forgetting.built_in()
    for path in config.check_rows:
        checks.append(CheckSet(path.name, read([RowFile(path)], labels_needed=False).rows))
    if config.data is not None:
        pool = cap_sources(training_rows(config.data), POOL_ROWS_PER_SOURCE)
        checks.append(CheckSet(f"{config.data.name}: up to {POOL_ROWS_PER_SOURCE} a source", pool))
    return checks


def _head(
    base: Base, rows: Sequence[Row], part: Part, config: TrainingConfig, say: Say
) -> HeadReport:
    """Adapt the head of a part and judge it, or say why it stays."""
    own = texts_of(rows, part, base.asked)
    out = held_out(own.texts, config.held_out, config.seed)
    reason = _lack(own, ~out)
    counts = len(own.rows), int(own.texts.label.sum()), own.wordless, own.disputed
    if reason:
        return HeadReport(part, *counts, None, reason, None, {})
    say(f"{part}: learning from {int((~out).sum()):,} rows")
    adapted, compared = _adapted(base.heads[part], own, out, config)
    return HeadReport(part, *counts, adapted, "", compared, figures.changes(compared, config.seed))


def _lack(own: OwnTexts, seen: Mask) -> str:
    fewest = min(
        len(set(own.texts.group[seen & (own.texts.label == label)].tolist())) for label in (0, 1)
    )
    if fewest >= LEAST_TEXTS:
        return ""
    if not own.rows:
        return "no rows"
    return f"{fewest} different texts of one label, but {LEAST_TEXTS} are needed"


def _adapted(
    base: Head, own: OwnTexts, out: Mask, config: TrainingConfig
) -> tuple[Adapted, Compared]:
    """Return the new head, and the scores of rows that it had not learnt from, with the base's."""
    priors = PRIORS if config.prior is None else (config.prior,)
    texts, to_learn = own.texts, lesson(base, own.texts, priors, config.seed)
    adapted = adapt(to_learn, ~out)
    if config.held_out:
        judged, after = out, adapted.head.logits(texts)[out]
    else:
        judged, after = ~out, out_of_fold(to_learn, ~out)
    before = base.logits(texts)[judged]
    ceiling = texts.ceiling[judged]
    scores = ceiling * sigmoid(before), ceiling * sigmoid(after)
    compared = Compared(own.part, texts.label[judged], *scores)
    return adapted, compared


def _evaluated(base: Base, told: Report) -> list[Evaluated]:
    """Return the figures in full, as `watchgate detectors evaluate` has them."""
    pairs = [it.compared for it in told.heads if it.compared and len(set(it.compared.label)) > 1]
    options = Options(needs=_NEEDS, battery_rows=0, seed=told.seed)

    def reports(name: str, version: str, scores_of: Callable[[Compared], Scores]) -> Evaluated:
        scored = [_scored(it, scores_of(it)) for it in pairs]
        return Evaluated(name, version, {it.part: full_report(it, options) for it in scored})

    return [
        reports("before", base.detector.version, lambda it: it.before),
        reports("after", told.version, lambda it: it.after),
    ]


def _scored(it: Compared, scores: Scores) -> Scored:
    rows = Labelled(it.label, np.full(len(it.label), SOURCE))
    return Scored(it.part, scores, rows, {}, {})
