"""The long ways of probes: states → probes, heads and card; states → report."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from detectors.choosing import choose
from detectors.comparison import Evaluated
from detectors.data import Row
from detectors.errors import ArtefactError, DataError
from detectors.probe import CARD, NAME
from detectors.probe.card import render
from detectors.probe.detector import load, save
from detectors.probe.evaluating import Collected, evaluate
from detectors.probe.states import States, read
from detectors.probe.training import Trained, train
from detectors.semantic.training import Plan
from vllm_probe import probes
from vllm_probe.errors import ProbeError

Say = Callable[[str], None]


def train_and_describe(
    states: Path, output: Path, check: tuple[Path, Sequence[Row], Sequence[str]] | None, say: Say
) -> str:
    """Train on states, write probes, heads and card; return the digest of the probes.

    `check`: states that are reported on, their rows, and the names of detectors to stand beside.

    Raises:
        DataError: something about the states or rows is not right.
        ArtefactError: a detector beside cannot be loaded.
    """
    learnt_from = read(states)
    if check is not None:
        _are_others(learnt_from, read(check[0]))
    trained = train(learnt_from, Plan(), say)
    digest, version = write(output, trained, learnt_from)
    evaluated = [] if check is None else evaluate_on(output, *check, say)
    text = render(NAME, (version, digest), trained, learnt_from, evaluated)
    (output / CARD).write_text(text, encoding="utf-8")
    return digest


def _are_others(learnt_from: States, checked: States) -> None:
    """See that nothing is reported on that was learnt.

    Raises:
        DataError: rows are in both.
    """
    known = {it.digest for it in learnt_from.rows}
    if both := sum(it.digest in known for it in checked.rows):
        raise DataError(
            f"{both} rows to be reported on are among those to learn from: collect others"
        )


def write(output: Path, trained: Trained, states: States) -> tuple[str, str]:
    """Write probes and heads; return the digest of those and the version of these.

    Raises:
        DataError: the folder cannot be written.
    """
    columns = trained.columns
    try:
        digest = probes.save(
            output,
            [it.probe for it in columns],
            np.array([it.weights for it in columns], np.float32),
            np.array([it.offset for it in columns], np.float32),
            states.manifest.binding,
        )
        return digest, save(output, digest, trained.heads)
    except OSError as error:
        raise DataError(f"{output} cannot be written: {error.strerror}") from None


def evaluate_on(
    folder: Path, states: Path, rows: Sequence[Row], beside: Sequence[str], say: Say
) -> list[Evaluated]:
    """Report on detectors, on the probes of a folder, and on both together.

    Raises:
        DataError: the states are not of these rows, or not of the probes' model.
        ArtefactError: the probes or a detector cannot be loaded.
    """
    others = [choose(name).detector for name in beside]
    found = read(states)
    try:
        collected = Collected(load(folder), probes.load(folder), found)
    except ProbeError as error:
        raise ArtefactError(str(error)) from None
    return evaluate(collected, rows, found, others, say)
