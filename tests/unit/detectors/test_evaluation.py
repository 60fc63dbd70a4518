from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from detectors import card, floors
from detectors.api import Category, Part, Sample
from detectors.cost import Cost
from detectors.data import Licence, Row
from detectors.errors import DataError
from detectors.evaluation import MEAN, WORST, Report, as_json, evaluate, figures, report
from detectors.validation import Labelled

# Two benign sources of 100 rows and two misuse sources. The threshold for 1% is the third-highest
# benign score, 0.099 of `calm`: two rows of `noisy` exceed it. That for 0.1% is the highest, 0.99.
SCORES = np.concatenate(
    [np.arange(100) / 1000, np.arange(98) / 1000, [0.98, 0.99], [0.5, 0.995], [0.0985, 0.9, 1, 1]]
)
ROWS = Labelled(
    np.array([0] * 200 + [1] * 6),
    np.array(["calm"] * 100 + ["noisy"] * 100 + ["bad"] * 2 + ["worse"] * 4),
)


class Parrot:
    """Gives the number that a text says."""

    name = "parrot"
    version = "1"
    parts = frozenset(Part)

    def score(self, samples: Sequence[Sample]) -> list[Mapping[Category, float]]:
        return [{Category.ANY: float(sample.text)} for sample in samples]


@pytest.fixture(scope="module")
def made() -> Report:
    return report(Part.PROMPT, SCORES, ROWS)


def test_recall_counts_misuse_above_the_threshold_of_the_benign_rows() -> None:
    found = figures(SCORES, ROWS)

    assert found["misuse", "bad", "recall_at_1pct"] == 2 / 2
    assert found["misuse", "worse", "recall_at_1pct"] == 3 / 4
    assert found["misuse", "bad", "recall_at_01pct"] == 1 / 2
    assert found["misuse", "worse", "recall_at_01pct"] == 2 / 4


def test_auroc_is_the_share_of_pairs_in_order() -> None:
    found = figures(SCORES, ROWS)

    assert found["misuse", "bad", "auroc"] == (198 + 200) / 400
    assert found["misuse", "worse", "auroc"] == (99 + 98 + 198 + 200 + 200) / 800


def test_the_mean_weighs_sources_the_same_and_the_worst_benign_source_is_named() -> None:
    found = figures(SCORES, ROWS)

    assert found["misuse", MEAN, "recall_at_01pct"] == (1 / 2 + 2 / 4) / 2
    assert found["benign", "calm", "flagged_at_1pct"] == 0
    assert found["benign", "noisy", "flagged_at_1pct"] == 0.02
    assert found["benign", WORST, "flagged_at_1pct"] == 0.02


def test_intervals_hold_their_figures_and_are_the_same_every_time(made: Report) -> None:
    estimate = made.figures["misuse", "worse", "auroc"]

    assert estimate.low <= estimate.value <= estimate.high
    assert made == report(Part.PROMPT, SCORES, ROWS)


def test_thresholds_flag_the_named_share(made: Report) -> None:
    benign = SCORES[ROWS.label == 0]

    assert (benign > made.thresholds["1pct"]).mean() == 0.01
    assert (benign > made.thresholds["01pct"]).mean() == 0


def test_a_single_source_of_answers_is_compared_with_its_own_benign_rows() -> None:
    rows = Labelled(np.array([0, 1]), np.array(["only", "only"]))

    assert figures(np.array([0.1, 0.9]), rows)["misuse", "only", "auroc"] == 1


def test_each_part_is_reported_by_itself() -> None:
    rows = [
        Row(f"{label}{answer}", "0.5", label, "s", "MIT", response=answer)
        for label, answers in ((0, [None, "0.1"]), (1, [None, "0.9"]))
        for answer in answers
    ]

    reports = evaluate(Parrot(), rows, lambda _: None)

    assert reports[Part.PROMPT].figures["misuse", MEAN, "auroc"].value == 0.5
    assert reports[Part.ANSWER].figures["misuse", MEAN, "auroc"].value == 1


def test_the_json_report_holds_every_figure_with_its_interval(made: Report) -> None:
    value, low, high = as_json(made)["misuse"]["bad"]["auroc"]

    assert low <= value <= high
    assert as_json(made)["rows"]["misuse/worse"] == 4


def test_the_card_lists_misuse_and_benign_sources_worst_first(made: Report) -> None:
    licences = {"calm": Licence("MIT", trains=True)}
    sources = card.source_table([Row("1", "t", 0, "calm", "MIT")], licences, 10)
    text = card.render("1-abc", {}, {Part.PROMPT: made}, [Cost("native", 2, 1, "x")], sources)

    assert "1-abc" in text
    assert "| native | 2.0 | 1.0 | x |" in text
    assert "| calm | 1 | 0 | MIT |" in text
    assert text.index("| noisy | 100") < text.index("| calm | 100")
    assert text.index("| worse | 4") < text.index("| bad | 2")


def test_floors_are_compared_from_below_and_ceilings_from_above(made: Report) -> None:
    limits = {
        "prompt": {
            "least": {"misuse/bad/recall_at_01pct": 0.5, "misuse/worse/recall_at_01pct": 0.6},
            "most": {"benign/noisy/flagged_at_1pct": 0.01, "benign/calm/flagged_at_1pct": 0.01},
        }
    }

    missed = floors.breaches({Part.PROMPT: made}, limits)

    assert missed == [
        "prompt: misuse/worse/recall_at_01pct is 0.500, but at least 0.6 is allowed",
        "prompt: benign/noisy/flagged_at_1pct is 0.020, but at most 0.01 is allowed",
    ]


def test_a_figure_that_is_not_reported_misses_its_floor(made: Report) -> None:
    limits = {
        "prompt": {"least": {"misuse/gone/auroc": 0.1}},
        "answer": {"least": {"misuse/bad/auroc": 0.1}},
    }

    assert len(floors.breaches({Part.PROMPT: made}, limits)) == 2


def test_the_floors_file_must_be_there_and_be_toml(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="floors cannot be read"):
        floors.read(tmp_path / "floors.toml")
    (tmp_path / "floors.toml").write_text("= nonsense")
    with pytest.raises(DataError, match="floors cannot be read"):
        floors.read(tmp_path / "floors.toml")
