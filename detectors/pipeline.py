"""The long ways through this package: data → model → report → card."""

from collections.abc import Callable, Mapping
from pathlib import Path

from detectors import agreement, artefacts, card, cost, floors, lexical
from detectors.api import Part
from detectors.data import LICENCES, dev_rows, read_licences, training_rows
from detectors.evaluation import Report, evaluate
from detectors.training import Plan, train

Say = Callable[[str], None]


def train_and_describe(data: Path, output: Path, say: Say) -> str:
    """Train on `train_pool`, report on `dev`, write model and card; return the version."""
    rows = training_rows(data)
    dev = dev_rows(data)  # read now: a missing file should not be found after the training
    plan = Plan()
    heads = train(rows, plan, say)
    content = {str(part): head.content() for part, head in heads.items()}
    artefacts.save(output, lexical.NAME, content)
    detector = lexical.load(output)
    reports = evaluate(detector, dev, say)
    sources = card.source_table(rows, read_licences(data / LICENCES), plan.rows_per_source)
    costs = [cost.measure(it) for it in _engines(output)]
    text = card.render(detector.version, heads, reports, costs, sources)
    (output / card.CARD).write_text(text, encoding="utf-8")
    return detector.version


def _engines(model: Path) -> list[lexical.Lexical]:
    """Return the detector for plain Python, and for C where that was compiled."""
    plain, fastest = lexical.load_with(None, model), lexical.load(model)
    return [plain] if fastest.engine == plain.engine else [fastest, plain]


def evaluate_against_floors(
    data: Path, model: Path, limits: Path, say: Say
) -> tuple[Mapping[Part, Report], list[str]]:
    """Report on `data/dev`, and say what is wrong: floors missed, ways of scoring that disagree."""
    wanted = floors.read(limits)
    detector, rows = lexical.load(model), dev_rows(data)
    content = artefacts.load(model, lexical.NAME).content
    wrong = agreement.disagreements(detector, content, rows)
    say(f"scored by: {detector.engine}, {'not ' if wrong else ''}as scikit-learn does")
    reports = evaluate(detector, rows, say)
    missed = [f"misses its floor: {it}" for it in floors.breaches(reports, wanted)]
    return reports, wrong + missed
