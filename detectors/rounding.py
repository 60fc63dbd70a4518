"""Makes of a head's weights what is kept in the model file: integers of 16 bits."""

from string import ascii_lowercase

import numpy as np
from numpy.typing import NDArray

from detectors.features import bucket, bucket_of_pair, hashes
from detectors.plain import ONE

Weights = NDArray[np.int16]

LEAST_UNITS, MOST_UNITS = 16, 32_767


def in_16_bits(weights: NDArray[np.float64]) -> Weights:
    """Round weights; those that hardly count become 0, which takes less room in the model file."""
    units = np.clip(np.rint(weights * ONE), -MOST_UNITS, MOST_UNITS)
    return np.where(np.abs(units) < LEAST_UNITS, 0, units).astype(np.int16)


def without_letters(weights: Weights) -> Weights:
    """Let pairs of letters weigh nothing, and letters that are no words of English.

    A text that is written letter by letter is scored by what it hides; its letters, which hardly
    come in training, would make it suspect whatever it says.
    """
    letters = {it: hashes(it)[0] for it in f"{ascii_lowercase}29_"}
    weights = weights.copy()
    weights[[bucket(word) for it, word in letters.items() if it not in "ai"]] = 0
    pairs = [bucket_of_pair(one, other) for one in letters.values() for other in letters.values()]
    weights[pairs] = 0
    return weights
