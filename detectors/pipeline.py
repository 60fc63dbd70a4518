"""The long ways through this package: data → model → report → card."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from detectors import agreement, artefacts, card, cost, floors, lexical
from detectors.api import Detector
from detectors.choosing import Chosen, choose
from detectors.comparison import Evaluated, evaluate_all
from detectors.data import (
    LICENCES,
    Row,
    cap_sources,
    dev_rows,
    read_licences,
    read_rows,
    training_rows,
)
from detectors.errors import DataError
from detectors.estimates import OPTIONS, Options
from detectors.evaluation import evaluate
from detectors.floors import breaches
from detectors.problem import Plan, teachers
from detectors.training import train

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
    taught = teachers(rows, plan)
    sources = card.source_table(taught, read_licences(data / LICENCES), plan.rows_per_source)
    costs = [cost.measure(it) for it in _engines(output)]
    text = card.render(detector.version, heads, reports, costs, sources)
    (output / card.CARD).write_text(text, encoding="utf-8")
    return detector.version


def _engines(model: Path) -> list[lexical.Lexical]:
    """Return the detector for plain Python, and for C where that was compiled."""
    plain, fastest = lexical.load_with(None, model), lexical.load(model)
    return [plain] if fastest.engine == plain.engine else [fastest, plain]


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be evaluated, on which rows, and held to what."""

    data: Path | None
    """The data folder, or None to use `rows` alone."""
    names: Sequence[str] = (lexical.NAME,)
    """Names of the registry, or folders of models."""
    rows: Sequence[Path] = ()
    """Files of one's own vetted rows."""
    floors: Path | None = None
    """The floors of all detectors; without, those that are shipped with each."""
    vetted: Sequence[str] = ()
    battery_rows: int = OPTIONS.battery_rows
    per_source: int | None = None
    """At most so many rows of each source of the data folder; None: all."""
    with_baselines: bool = False
    with_cost: bool = False


def evaluate_against_floors(request: Request, say: Say) -> tuple[list[Evaluated], list[str]]:
    """Report on detectors, and say what is wrong: floors missed, ways of scoring that disagree.

    Baselines follow the detectors, and have no floors. Floors that are shipped were measured on
    the public rows, so they are not asked for where there are rows of one's own.
    """
    chosen = [choose(name) for name in request.names]
    limits = [_floors(it, request) for it in chosen]  # read now: before the work
    own = [row for path in request.rows for row in read_rows(path)]
    rows = [*_dev(request), *own]
    wrong = [it for one in chosen for it in _disagreements(one, rows, say)]
    others = _baselines(request, say)
    vetted = frozenset([*request.vetted, *(row.source for row in own)])
    options = Options(vetted=vetted, battery_rows=request.battery_rows)
    detectors = [*(it.detector for it in chosen), *others]
    evaluated = evaluate_all(detectors, rows, say, options, with_cost=request.with_cost)
    for it, wanted in zip(evaluated, limits, strict=False):
        wrong += [f"misses its floor: {it.name}, {one}" for one in breaches(it.reports, wanted)]
    return evaluated, wrong


def _dev(request: Request) -> list[Row]:
    rows = dev_rows(request.data) if request.data else []
    return rows if request.per_source is None else cap_sources(rows, request.per_source)


def _floors(chosen: Chosen, request: Request) -> floors.Floors:
    path = request.floors or (None if request.rows else chosen.floors)
    return floors.read(path) if path else {}


def _baselines(request: Request, say: Say) -> list[Detector]:
    if not request.with_baselines:
        return []
    if request.data is None:
        raise DataError("baselines are trained on train_pool; name the data folder with --data DIR")
    from detectors.baselines import baselines  # noqa: PLC0415 - few ask for them

    return baselines(training_rows(request.data), say)


def _disagreements(chosen: Chosen, rows: Sequence[Row], say: Say) -> list[str]:
    """Hold a lexical model to scikit-learn; others have nothing to be held to."""
    detector = chosen.detector
    if not isinstance(detector, lexical.Lexical) or chosen.folder is None:
        return []
    content = artefacts.load(chosen.folder, lexical.NAME).content
    wrong = agreement.disagreements(detector, content, rows)
    say(f"scored by: {detector.engine}, {'not ' if wrong else ''}as in training")
    return wrong
