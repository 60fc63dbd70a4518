"""The figures of one part's report, in as many bootstrap rounds as are given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.api import Category, Part
from detectors.estimates import MEAN, OWN, RATES, WORST, Key, Needs
from detectors.metrics import Scores
from detectors.reliability import calibration
from detectors.resampling import Drawn, Rounds, compare, shares_above, thresholds
from detectors.validation import Labelled

NAMES = ("auroc", "average_precision", *(f"recall_at_{rate}" for rate in RATES))

Table = dict[Key, Rounds]
Mask = NDArray[np.bool_]

KEYWORDS = "public rows are assigned to it by keyword; it takes rows that somebody has vetted"
VETTED_ONLY = frozenset({Category.BIO})
"""Categories that are measured on vetted sources alone."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The scores of n rows of one part, and what the rows are."""

    part: Part
    scores: Scores
    """The probability of misuse of whatever kind."""
    rows: Labelled
    own: Mapping[Category, Scores]
    """Scores of single categories, where the detector gives them."""
    categories: Mapping[Category, Mask]
    """Which misuse rows the sources assign to a category."""
    vetted: frozenset[str] = frozenset()
    """Sources whose categories people have vetted."""

    @property
    def benign(self) -> Mask:
        """Return which rows are benign."""
        benign: Mask = self.rows.label == 0
        return benign

    def compared_with(self, source: str) -> Mask:
        """Return the benign rows of all other sources, or where there are none its own."""
        elsewhere = self.rows.benign_elsewhere(source)
        return elsewhere if elsewhere.any() else self.benign

    def misuse_in(self, category: Category) -> Mask:
        """Return a category's misuse rows; of some categories those of vetted sources."""
        chosen = self.categories[category]
        return chosen & self._is_vetted if self._is_restricted(category) else chosen

    def is_keyword_only(self, category: Category) -> bool:
        """Say whether a category has no vetted rows, but must have."""
        return category in VETTED_ONLY and not self._is_restricted(category)

    def _is_restricted(self, category: Category) -> bool:
        return category in VETTED_ONLY and bool((self.categories[category] & self._is_vetted).any())

    @property
    def _is_vetted(self) -> Mask:
        vetted: Mask = np.isin(self.rows.source, sorted(self.vetted))
        return vetted


def strata_of(rows: Labelled) -> list[NDArray[np.int64]]:
    """Return the numbers of the rows of each source and label."""
    return [
        np.flatnonzero((rows.source == source) & (rows.label == label))
        for label in (0, 1)
        for source in rows.sources_with(label)
    ]


def figures(scored: Scored, drawn: Drawn, needs: Needs) -> Table:
    """Return every figure that the rows allow, but for those of the battery."""
    found: Table = {}
    if scored.benign.any() and not scored.benign.all():
        found |= _misuse_figures(scored, drawn, needs) | _category_figures(scored, drawn)
        errors = calibration(scored.scores, scored.rows.label, drawn)
        found |= {("calibration", "any", name): value for name, value in errors.items()}
    return found | (_benign_figures(scored, drawn) if scored.benign.any() else {})


def counts(scored: Scored) -> dict[tuple[str, str], int]:
    """Return how many rows each source or category has, by kind."""
    rows = scored.rows
    found = {
        (kind, source): int(((rows.source == source) & (rows.label == label)).sum())
        for label, kind in enumerate(("benign", "misuse"))
        for source in rows.sources_with(label)
    }
    return found | {
        ("category", str(category)): int(scored.misuse_in(category).sum())
        for category in scored.categories
    }


def lacking(scored: Scored, keys: Sequence[Key], needs: Needs) -> dict[Key, str]:
    """Return what each figure lacks that cannot be measured."""
    found = {key: _lack(scored, key, needs) for key in keys if key[1] not in (MEAN, WORST)}
    for key in keys:
        if key[1] in (MEAN, WORST):
            others = [lack for it, lack in found.items() if (it[0], it[2]) == (key[0], key[2])]
            found[key] = others[0] if all(others) else None
    return {key: lack for key, lack in found.items() if lack}


def _lack(scored: Scored, key: Key, needs: Needs) -> str | None:
    kind, source, name = key
    benign = int(scored.benign.sum())
    match kind:
        case "misuse":
            return needs.lacks(name, *_sizes(scored, source))
        case "category":
            category = Category(source)
            lack = needs.lacks(name, int(scored.misuse_in(category).sum()), benign)
            return KEYWORDS if scored.is_keyword_only(category) else lack
        case "calibration":
            return needs.lacks(name, len(scored.scores) - benign, benign)
        case _:
            return needs.lacks(name, None, benign)


def _sizes(scored: Scored, source: str) -> tuple[int, int]:
    return int(scored.rows.misuse_of(source).sum()), int(scored.compared_with(source).sum())


def _misuse_figures(scored: Scored, drawn: Drawn, needs: Needs) -> Table:
    found: Table = {}
    for source in scored.rows.sources_with(1):
        misuse, benign = scored.rows.misuse_of(source), scored.compared_with(source)
        for name, values in _compared(scored.scores, benign, misuse, drawn).items():
            found["misuse", source, name] = values
    for name in NAMES:
        values = np.array(_enough(found, scored, name, needs))
        found["misuse", MEAN, name] = values.mean(axis=0)
        found["misuse", WORST, name] = values.min(axis=0)
    return found


def _enough(found: Table, scored: Scored, name: str, needs: Needs) -> list[Rounds]:
    """Return a figure of the sources that can be measured, or where none can of all."""
    named = {source: values for (_, source, it), values in found.items() if it == name}
    named = {source: values for source, values in named.items() if source not in (MEAN, WORST)}
    enough = [
        values
        for source, values in named.items()
        if needs.lacks(name, *_sizes(scored, source)) is None
    ]
    return enough or list(named.values())


def _category_figures(scored: Scored, drawn: Drawn) -> Table:
    found: Table = {}
    for category in scored.categories:
        misuse = scored.misuse_in(category)
        ways = {"": scored.scores}
        if category in scored.own:
            ways[OWN] = scored.own[category]
        for prefix, scores in ways.items():
            for name, values in _compared(scores, scored.benign, misuse, drawn).items():
                found["category", str(category), prefix + name] = values
    return found


def _compared(scores: Scores, benign: Mask, misuse: Mask, drawn: Drawn) -> dict[str, Rounds]:
    return compare((scores[benign], drawn[:, benign]), (scores[misuse], drawn[:, misuse]), RATES)


def _benign_figures(scored: Scored, drawn: Drawn) -> Table:
    found: Table = {}
    for name, rate in RATES.items():
        limits = thresholds(scored.scores[scored.benign], drawn[:, scored.benign], rate)
        shares = {}
        for source in scored.rows.sources_with(0):
            chosen = (scored.rows.source == source) & scored.benign
            shares[source] = shares_above(scored.scores[chosen], drawn[:, chosen], limits)
        shares[WORST] = np.max(list(shares.values()), axis=0)
        for source, share in shares.items():
            found["benign", source, f"flagged_at_{name}"] = share
    return found
