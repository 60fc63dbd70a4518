"""A head learns from rows of one's own, with what it knew as the prior.

The new weights minimise the logistic loss on the own rows plus an L2 pull towards the base's: the
base is the mean of a Gaussian prior, whose precision is the `prior`. In numbers: a text of logit z
under the base gets z + x'u + c, where x are its features, and u is what
    sum of v * log(1 + exp(-+(z + x'u + c))) + prior / 2 * |u|^2
is least for, `v` weighing both labels the same. Divided by the base's slope, u is added to the
weights of each of its kinds: what is added to the log-odds of all is added to their sum's. A
prior of 1 is scikit-learn's C = 1; at infinity the weights stay as they are.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize

from detectors.corpus import Corpus, combined
from detectors.metrics import Scores
from detectors.plain import ONE
from detectors.retraining.calibrating import (
    Calibration,
    Scored,
    balanced,
    calibrate,
    cross_entropy,
    kind_for,
    of_content,
    sigmoid,
)
from detectors.rounding import MOST_UNITS

Mask = NDArray[np.bool_]

PRIORS: Final = (math.inf, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1)
"""What is tried, the strongest first."""

FOLDS: Final = 5
LEAST_TEXTS: Final = 10
"""A head needs so many texts of each label, different ones, to learn from."""


@dataclass(frozen=True, slots=True)
class Texts:
    """n texts of one part.

    `shown` are the texts as they stand and what they hide; `group` is what texts that are the same
    share. A row's probability is its `ceiling` times the head's: of an exchange that of its prompt,
    of other parts 1.
    """

    shown: tuple[Corpus, ...]
    features: sparse.csr_matrix
    label: NDArray[np.int64]
    ceiling: Scores
    group: NDArray[np.str_]

    @property
    def worth(self) -> Scores:
        """Return how much rows count before labels are balanced: a benign one as its ceiling.

        For p = q s, with q the ceiling and s the head's probability, -log(1 - q s) is at most
        -q log(1 - s): an answer to what was harmless anyway hardly needs to be told from one that
        complies.
        """
        return np.where(self.label == 0, self.ceiling, 1.0)

    def scored(self, margins: Scores, seen: Mask) -> Scored:
        """Return what the texts that are `seen` are calibrated by, with a margin for each."""
        return Scored(margins, self.label[seen], self.ceiling[seen])


@dataclass(frozen=True, slots=True)
class OfKind:
    """One kind's model as numbers: `weights` of shape (BUCKETS,), in units of `plain.ONE`."""

    weights: NDArray[np.int16]
    shift: float
    intercept: float

    def log_odds(self, texts: Corpus, *, mean: bool) -> Scores:
        """Return those of each text."""
        weights = self.weights / ONE
        margins = texts.means(weights) if mean else combined(*texts.margins(weights), self.shift)
        found: Scores = margins + self.intercept
        return found

    def changed(self, by: Scores) -> "OfKind":
        """Return the model with something added to its weights, in units of 1."""
        units = np.clip(np.rint(self.weights + by * ONE), -MOST_UNITS, MOST_UNITS)
        return replace(self, weights=units.astype(np.int16))

    def content(self) -> dict[str, Any]:
        """Return what the artefact keeps."""
        return {name: getattr(self, name) for name in ("weights", "shift", "intercept")}


@dataclass(frozen=True, slots=True)
class Head:
    """A head as numbers: models by the names of kinds, and what is made of their odds."""

    kinds: Mapping[str, OfKind]
    mean: bool
    calibration: Calibration

    def margins(self, texts: Texts) -> Scores:
        """Return the margin of each text, or of what it hides where that is higher."""
        margins: Scores = np.max([self._of(it) for it in texts.shown], axis=0)
        return margins

    def _of(self, texts: Corpus) -> Scores:
        of_kinds = [it.log_odds(texts, mean=self.mean) for it in self.kinds.values()]
        added: Scores = np.logaddexp.reduce(of_kinds)
        return added

    def changed(self, by: Scores) -> "Head":
        """Return the head with something added to the weights of all kinds, in units of 1."""
        return replace(self, kinds={name: it.changed(by) for name, it in self.kinds.items()})

    def logits(self, texts: Texts) -> Scores:
        """Return the logit of each text."""
        return self.calibration.logits(self.margins(texts))

    def content(self) -> dict[str, Any]:
        """Return what the artefact keeps."""
        kinds = {name: it.content() for name, it in self.kinds.items()}
        return {"kinds": kinds, "mean": self.mean} | self.calibration.content()


def head_of(numbers: Mapping[str, Any]) -> Head:
    """Return a head that an artefact keeps."""
    kinds = {
        name: OfKind(it["weights"], it["shift"], it["intercept"])
        for name, it in numbers["kinds"].items()
    }
    return Head(kinds, numbers["mean"], of_content(numbers))


@dataclass(frozen=True, slots=True)
class Adapted:
    """What a head became, by which prior, and the loss of each prior that was tried."""

    head: Head
    prior: float
    losses: Mapping[float, float]


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a head is to learn, with what priors to choose from, and how rows are dealt out.

    `logits` are the base's, of all texts.
    """

    base: Head
    texts: Texts
    logits: Scores
    priors: Sequence[float]
    seed: int


def lesson(base: Head, texts: Texts, priors: Sequence[float], seed: int) -> Lesson:
    """Return a lesson; knots of the base's calibration, which new weights undo, are left out."""
    plain = replace(base, calibration=replace(base.calibration, knots=()))
    return Lesson(plain, texts, plain.logits(texts), priors, seed)


def adapt(it: Lesson, seen: Mask) -> Adapted:
    """Learn from the texts that are `seen`, choose the prior and calibrate by folds of them.

    Of all priors whose loss is within a standard error of the least the strongest is taken: what
    cannot be told from chance changes nothing.
    """
    margins, losses = {}, {}
    for prior in it.priors:
        margins[prior], losses[prior] = _left_out(it, seen, prior)
    prior = _strongest(losses, it.texts.group[seen])
    kind = kind_for(it.texts.label[seen], isotonic=False)
    fitted = calibrate(it.texts.scored(margins[prior], seen), it.base.calibration, kind)
    head, _ = _fit(it, seen, prior)
    means = {prior: float(loss.mean()) for prior, loss in losses.items()}
    return Adapted(replace(head, calibration=fitted), prior, means)


def out_of_fold(it: Lesson, seen: Mask) -> Scores:
    """Return the logits of the texts that are `seen`, each by a head that `adapt` made without it.

    The prior is chosen anew within each fold, so the choice flatters no figure.
    """
    found = np.zeros(len(it.texts.label))
    for left_out in folds(it.texts, seen, it.seed + 1):
        head = adapt(it, seen & ~left_out).head
        found[left_out] = head.logits(it.texts)[left_out]
    return found[seen]


def folds(texts: Texts, seen: Mask, seed: int) -> Iterator[Mask]:
    """Yield masks that leave each text that is `seen` out once; the same texts go together.

    Texts are dealt out by a hash of the seed and the text, misuse and benign apart: the order of
    rows changes nothing.
    """
    fold = np.full(len(texts.label), -1)
    groups = texts.group
    misuse = set(groups[seen & (texts.label == 1)].tolist())
    everyone = set(groups[seen].tolist())
    for members in (misuse, everyone - misuse):
        for place, name in enumerate(sorted(members, key=lambda it: _hash(it, seed))):
            fold[seen & (groups == name)] = place % FOLDS
    for number in range(FOLDS):
        if (fold == number).any():
            yield fold == number


def held_out(texts: Texts, share: float, seed: int) -> Mask:
    """Return which texts are held out: of each label about a share, chosen by a hash."""
    chosen = np.zeros(len(texts.label), np.bool_)
    for label in (0, 1):
        names = sorted(set(texts.group[texts.label == label].tolist()))
        names.sort(key=lambda it: _hash(it, seed))
        chosen |= np.isin(texts.group, names[: round(share * len(names))])
    return chosen


def _hash(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


def _left_out(it: Lesson, seen: Mask, prior: float) -> tuple[Scores, Scores]:
    """Return the margins and weighted losses of the texts that are `seen`, by folds."""
    texts = it.texts
    margins, losses, weights = np.zeros((3, len(texts.label)))
    weights[seen] = balanced(texts.label[seen], texts.worth[seen])
    for left_out in folds(texts, seen, it.seed):
        head, constant = _fit(it, seen & ~left_out, prior)
        margins[left_out] = head.margins(texts)[left_out]
        found = it.base.calibration.logits(margins[left_out]) + constant
        losses[left_out] = weights[left_out] * cross_entropy(found, texts.label[left_out])
    return margins[seen], losses[seen]


def _strongest(losses: Mapping[float, Scores], group: NDArray[np.str_]) -> float:
    """Return the strongest prior within a standard error of the best.

    Texts that are the same count as one.
    """
    best = min(losses, key=lambda prior: float(losses[prior].mean()))
    _, place = np.unique(group, return_inverse=True)
    for prior in sorted(losses, reverse=True):
        gaps = np.bincount(place, weights=losses[prior] - losses[best])
        if float(gaps.sum()) <= float(gaps.std()) * math.sqrt(len(gaps)):
            return prior
    return best


def _fit(it: Lesson, seen: Mask, prior: float) -> tuple[Head, float]:
    """Return a head with new weights, and the constant that its logits are to be shifted by."""
    texts, base = it.texts, it.base
    label = texts.label[seen]
    weights = balanced(label, texts.worth[seen])
    change, constant = fit_change(texts.features[seen], it.logits[seen], label, weights, prior)
    return base.changed(change / base.calibration.slope), constant


def fit_change(
    features: sparse.csr_matrix,
    logits: Scores,
    label: NDArray[np.int64],
    weights: Scores,
    prior: float,
) -> tuple[Scores, float]:
    """Return u, of shape (columns,), and c, as the module says; features have shape (n, columns).

    Features that no row has keep the prior's mean, so they are left out of the search.
    """
    change = np.zeros(features.shape[1])
    used = np.unique(features.indices) if math.isfinite(prior) else np.zeros(0, np.int64)
    own = features[:, used]

    def loss(found: Scores) -> tuple[float, Scores]:
        moved = logits + own @ found[1:] + found[0]
        gaps = weights * (sigmoid(moved) - label)
        total = (weights * cross_entropy(moved, label)).sum()
        if len(used):
            total += prior / 2 * (found[1:] @ found[1:])
        by = np.concatenate([[gaps.sum()], own.T @ gaps + (prior * found[1:] if len(used) else 0)])
        return float(total), by

    solved = minimize(loss, np.zeros(len(used) + 1), jac=True, method="L-BFGS-B").x
    change[used] = solved[1:]
    return change, float(solved[0])
