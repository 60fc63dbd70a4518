import numpy as np
import pytest

from detectors.validation import (
    FAMILIES,
    Labelled,
    family,
    leave_families_out,
    mean_over_sources,
    mean_within_sources,
)


def test_every_row_is_left_out_once_together_with_its_sources_relatives() -> None:
    source = np.array(["catqa_en", "catqa_zh", "lonely", "catqa_en", "other"])

    masks = list(leave_families_out(source))

    assert np.sum(masks, axis=0).tolist() == [1] * 5
    assert [True, True, False, True, False] in [mask.tolist() for mask in masks]


def test_no_source_is_in_two_families() -> None:
    named = [source for members in FAMILIES for source in members]

    assert len(named) == len(set(named))
    assert family("lonely") == "lonely"


def test_sources_count_the_same_however_many_rows_they_have() -> None:
    rows = Labelled(
        np.array([0, 0, 1, 1, 1, 1]), np.array(["calm", "calm", "seen", "seen", "seen", "missed"])
    )

    quality = mean_over_sources(np.array([0.1, 0.2, 0.9, 0.9, 0.9, 0.0]), rows)

    assert quality.auroc == pytest.approx(0.5)
    assert quality.recall_at_1pct == pytest.approx(0.5)


def test_a_misuse_source_is_not_compared_with_its_own_benign_rows() -> None:
    rows = Labelled(np.array([0, 0, 1]), np.array(["mixed", "calm", "mixed"]))

    assert mean_over_sources(np.array([0.9, 0.1, 0.5]), rows).auroc == 1


def test_within_a_source_misuse_is_compared_with_its_own_benign_rows() -> None:
    rows = Labelled(np.array([0, 0, 1]), np.array(["mixed", "calm", "mixed"]))

    assert mean_within_sources(np.array([0.1, 0.9, 0.5]), rows).auroc == 1
    assert mean_within_sources(np.array([0.9, 0.1, 0.5]), rows).auroc == 0


def test_where_no_source_has_both_labels_those_of_others_serve() -> None:
    rows = Labelled(np.array([0, 1]), np.array(["calm", "loud"]))

    assert mean_within_sources(np.array([0.1, 0.5]), rows).auroc == 1
