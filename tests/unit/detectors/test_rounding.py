import numpy as np

from detectors.features import BUCKETS, bucket, bucket_of_pair, hashes
from detectors.plain import ONE
from detectors.rounding import in_16_bits, without_letters


def test_letters_that_are_no_words_weigh_nothing() -> None:
    one, two, word = hashes("x 2 word")

    weights = without_letters(np.ones(BUCKETS, np.int16))

    assert weights[bucket(one)] == weights[bucket_of_pair(one, two)] == 0
    assert weights[bucket(word)] == weights[bucket_of_pair(one, word)] == 1


def test_weights_that_hardly_count_are_left_out() -> None:
    assert in_16_bits(np.array([0.001, 1.0, -2.0, 1e9])).tolist() == [0, ONE, -2 * ONE, 32_767]
