import numpy as np
import pytest

from detectors.corpus import FIRST_WORDS, combined, corpus
from detectors.features import BUCKETS
from detectors.plain import FEWEST, LONG, MEAN, ONE, SHORT, OfKind, PlainWeights

TEXTS = [
    "",
    "one",
    "one two one two three",
    " ".join(map(str, range(SHORT))),
    " ".join(map(str, range(SHORT + 1))),
    " ".join(map(str, range(LONG))),
    " ".join(map(str, range(LONG + 1))),
    " ".join(str(number * number % 301) for number in range(2_000)),
]


def test_its_margins_are_those_of_the_detector(random_weights: list[int]) -> None:
    long, short = corpus(TEXTS).margins(np.array(random_weights) / ONE)
    plain = PlainWeights([OfKind(random_weights, 1.5)])

    expected = [plain.margin(text) for text in TEXTS]
    assert combined(long, short, 1.5).tolist() == pytest.approx(expected, rel=0, abs=1e-9)


def test_a_text_without_words_has_no_margin() -> None:
    long, short = corpus(["", "one"]).margins(np.ones(BUCKETS))

    assert long.tolist() == [-np.inf, 1]
    assert short.tolist() == [-np.inf, -np.inf]


def test_means_are_those_of_the_detector(random_weights: list[int]) -> None:
    means = corpus(TEXTS).means(np.array(random_weights) / ONE)
    plain = PlainWeights([OfKind(random_weights, 1.5)], mean=True)

    assert means.tolist() == pytest.approx([plain.margin(text) for text in TEXTS], rel=0, abs=1e-9)


def test_features_of_a_mean_add_up_to_it() -> None:
    long = " ".join(map(str, range(MEAN, 3 * MEAN)))
    texts = corpus([long, "one two three", ""])

    sums = texts.features(mean=True).sum(axis=1).ravel().tolist()[0]
    assert sums == pytest.approx([MEAN, MEAN, 0])


def test_the_mean_of_a_short_text_is_of_more_words_than_it_has() -> None:
    texts, weights = corpus(["one two three"]), np.ones(BUCKETS)

    assert texts.means(weights).tolist() == pytest.approx([5 * MEAN / FEWEST])


def test_features_of_a_text_have_length_one_where_nothing_repeats_and_an_empty_text_has_none() -> (
    None
):
    many = " ".join(map(str, range(2 * FIRST_WORDS)))
    matrix = corpus(["one two three", "", "one", "one one", many]).features()

    lengths = np.sqrt(matrix.multiply(matrix).sum(axis=1)).ravel().tolist()[0]
    assert lengths == pytest.approx([1, 0, 1, (2 / 3) ** 0.5, 1], abs=0.01)
    assert matrix[4].nnz <= 2 * FIRST_WORDS


def test_stretches_are_cut_evenly_from_texts_half_as_long_again() -> None:
    numbers = " ".join(map(str, range(100)))
    whole = corpus(["one two", numbers, numbers])

    cut, owners = whole.stretches(np.array([0, 1]), words=10, most=3)

    assert owners.tolist() == [1, 1, 1]
    assert cut.sizes().tolist() == [10, 10, 10]
    assert cut.words[:10].tolist() == whole.words[2:12].tolist()
    assert cut.words[-10:].tolist() == whole.words[92:102].tolist()
    assert cut.pairs[::10].tolist() == [-1, -1, -1]
