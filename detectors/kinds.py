"""Kinds of misuse that look different: a request for harm, a jailbreak around it, an injection.

One direction cannot tell all of them from what is benign; one for each, and the surest counts, can.
"""

from collections.abc import Collection, Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from detectors.api import Category
from detectors.data import Row
from detectors.validation import family

PENALTIES = (0.5, 1.0, 1.5, 2.0)
"""Tried: what is taken from the log-odds of all kinds but the first, which most misuse is."""
LEAST_FAMILIES = 2
"""A kind is one of its own where it comes from so many families: then each can be left out."""


class Kind(StrEnum):
    """How misuse comes."""

    REQUEST = "request"
    """What is asked for, or said, is harmful in itself."""
    JAILBREAK = "jailbreak"
    """It is wrapped in what is to talk a model out of its safeguards."""
    INJECTION = "injection"
    """It is to take over what the model was told to do, and need not be harmful in itself."""


def kind_of(categories: Collection[Category]) -> Kind:
    """Return the kind of misuse of these categories."""
    if Category.JAILBREAK in categories:
        return Kind.JAILBREAK
    return Kind.INJECTION if set(categories) == {Category.PROMPT_INJECTION} else Kind.REQUEST


def taught_by_kind(rows: Sequence[Row]) -> dict[Kind, NDArray[np.bool_]]:
    """Return for each kind which rows teach it, of shape (n,): its misuse, and all benign ones."""
    misuse = np.array([it.label == 1 for it in rows])
    kinds = np.array([kind_of([Category(name) for name in it.categories]) for it in rows])
    for kind in (Kind.JAILBREAK, Kind.INJECTION):
        mine = misuse & (kinds == kind)
        if _families(rows, mine) < LEAST_FAMILIES:
            kinds[mine] = Kind.REQUEST
    if _families(rows, misuse & (kinds == Kind.REQUEST)) < LEAST_FAMILIES:
        kinds[misuse] = Kind.REQUEST
    return {kind: ~misuse | (kinds == kind) for kind in Kind if (misuse & (kinds == kind)).any()}


def _families(rows: Sequence[Row], chosen: NDArray[np.bool_]) -> int:
    return len({family(it.source) for it, is_one in zip(rows, chosen, strict=True) if is_one})


def held_to_more(log_odds: Sequence[NDArray[np.float64]], penalty: float) -> NDArray[np.float64]:
    """Return the log of the sum of odds of kinds, those after the first less by a penalty."""
    found: NDArray[np.float64] = np.logaddexp.reduce(
        [it - penalty * (number > 0) for number, it in enumerate(log_odds)]
    )
    return found
