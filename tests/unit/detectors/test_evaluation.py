from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detectors import card, floors
from detectors.api import Category, Part, Sample
from detectors.cost import Cost
from detectors.data import Licence, Row
from detectors.errors import DataError
from detectors.estimates import MEAN, WORST, Estimate, Key, Needs, Options
from detectors.evaluation import Report, as_json, evaluate, report
from detectors.figures import Scored, figures
from detectors.metrics import clopper_pearson
from detectors.resampling import once
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
CYBER = np.array([False] * 200 + [True, False, True, False, False, True])
SCORED = Scored(Part.PROMPT, SCORES, ROWS, {}, {})
FEW = Options(needs=Needs(rows=2, above=0))


class Parrot:
    """Gives the number that a text says."""

    name = "parrot"
    version = "1"
    parts = frozenset(Part)

    def score(self, samples: Sequence[Sample]) -> list[Mapping[Category, float]]:
        return [{Category.ANY: float(sample.text)} for sample in samples]


class Specialist(Parrot):
    """Knows single categories only."""

    def score(self, samples: Sequence[Sample]) -> list[Mapping[Category, float]]:
        return [{Category.CYBER: float(it.text), Category.BIO: 0.2} for it in samples]


@pytest.fixture(scope="module")
def made() -> Report:
    return report(SCORED, FEW)


def plainly(scored: Scored, needs: Needs = FEW.needs) -> dict[Key, float]:
    values = figures(scored, once(len(scored.scores)), needs)
    return {key: float(value[0]) for key, value in values.items()}


def test_recall_counts_misuse_above_the_threshold_of_the_benign_rows() -> None:
    found = plainly(SCORED)

    assert found["misuse", "bad", "recall_at_1pct"] == 2 / 2
    assert found["misuse", "worse", "recall_at_1pct"] == 3 / 4
    assert found["misuse", "bad", "recall_at_01pct"] == 1 / 2
    assert found["misuse", "worse", "recall_at_01pct"] == 2 / 4


def test_auroc_is_the_share_of_pairs_in_order() -> None:
    found = plainly(SCORED)

    assert found["misuse", "bad", "auroc"] == (198 + 200) / 400
    assert found["misuse", "worse", "auroc"] == (99 + 98 + 198 + 200 + 200) / 800


def test_the_mean_weighs_sources_the_same_and_the_worst_benign_source_is_named() -> None:
    found = plainly(SCORED)

    assert found["misuse", MEAN, "recall_at_01pct"] == (1 / 2 + 2 / 4) / 2
    assert found["misuse", WORST, "recall_at_1pct"] == 3 / 4
    assert found["benign", "calm", "flagged_at_1pct"] == 0
    assert found["benign", "noisy", "flagged_at_1pct"] == 0.02
    assert found["benign", WORST, "flagged_at_1pct"] == 0.02


def test_intervals_hold_their_figures_and_are_the_same_every_time(made: Report) -> None:
    estimate = made.figures["misuse", "worse", "auroc"]

    assert estimate.low <= estimate.value <= estimate.high
    assert made == report(SCORED, FEW)


def test_thresholds_flag_the_named_share(made: Report) -> None:
    benign = SCORES[ROWS.label == 0]

    assert (benign > made.thresholds["1pct"]).mean() == 0.01
    assert (benign > made.thresholds["01pct"]).mean() == 0


def test_a_single_source_of_answers_is_compared_with_its_own_benign_rows() -> None:
    rows = Labelled(np.array([0, 1]), np.array(["only", "only"]))

    scored = Scored(Part.ANSWER, np.array([0.1, 0.9]), rows, {}, {})

    assert plainly(scored)["misuse", "only", "auroc"] == 1


def test_each_part_is_reported_by_itself() -> None:
    rows = [
        Row(f"{label}{answer}", "0.5", label, "s", "MIT", response=answer)
        for label, answers in ((0, [None, "0.1"]), (1, [None, "0.9"]))
        for answer in answers
    ]

    reports = evaluate(Parrot(), rows, lambda _: None)

    assert reports[Part.PROMPT].figures["misuse", MEAN, "auroc"].value == 0.5
    assert reports[Part.ANSWER].figures["misuse", MEAN, "auroc"].value == 1
    assert reports[Part.EXCHANGE].figures["misuse", MEAN, "auroc"].value == 1


def test_the_mean_and_the_worst_speak_of_sources_that_can_be_measured() -> None:
    found = plainly(SCORED, Needs(rows=3, above=0))

    assert found["misuse", MEAN, "recall_at_01pct"] == 2 / 4
    assert found["misuse", WORST, "auroc"] == found["misuse", "worse", "auroc"]


def test_a_category_is_the_misuse_of_all_sources_that_has_it() -> None:
    found = plainly(replace(SCORED, categories={Category.CYBER: CYBER}))

    assert found["category", "cyber", "recall_at_1pct"] == 2 / 3
    assert found["category", "cyber", "auroc"] == (198 + 99 + 98 + 200) / 600


def test_a_category_s_own_score_is_measured_beside_any() -> None:
    own = {Category.CYBER: 1 - SCORES}

    found = plainly(replace(SCORED, own=own, categories={Category.CYBER: CYBER}))

    assert found["category", "cyber", "own_auroc"] == pytest.approx(1 - (198 + 99 + 98 + 200) / 600)


def test_a_detector_of_single_categories_is_as_suspicious_as_its_highest() -> None:
    texts = [("0.1", 0), ("0.3", 0), ("0.9", 1), ("0.15", 1)]
    rows = [Row(text, text, label, "s", "MIT", None, ("cyber",)) for text, label in texts]

    found = evaluate(Specialist(), rows, lambda _: None)[Part.PROMPT].figures

    assert found["misuse", "s", "auroc"].value == (2 + 0.5) / 4
    assert found["category", "cyber", "own_auroc"].value == (2 + 1) / 4


def test_biology_is_measured_on_vetted_sources_alone() -> None:
    categories = {Category.BIO: CYBER}
    scored = replace(SCORED, categories=categories)

    public = report(scored, FEW)
    vetted = report(replace(scored, vetted=frozenset({"worse"})), FEW)

    assert public.shown(("category", "bio", "auroc")) is None
    assert "vetted" in public.lacking["category", "bio", "auroc"]
    assert public.rows["category", "bio"] == 3
    assert vetted.shown(("category", "bio", "auroc"))
    assert vetted.rows["category", "bio"] == 2


def test_what_has_too_few_rows_cannot_be_measured_but_can_be_bound() -> None:
    thin = report(SCORED)

    assert thin.lacking["misuse", "bad", "auroc"] == "2 misuse rows, but 50 are needed"
    assert thin.lacking["benign", WORST, "flagged_at_1pct"] == (
        "200 benign rows, but 1,000 are needed"
    )
    assert thin.shown(("misuse", MEAN, "auroc")) is None
    assert as_json(thin)["misuse"]["bad"]["auroc"] is None
    assert "misuse/bad/auroc" in as_json(thin)["cannot_be_measured"]
    limits = {"prompt": {"least": {"misuse/bad/auroc": 0.999}}}
    assert len(floors.breaches({Part.PROMPT: thin}, limits)) == 1


def test_needs_grow_as_the_rate_falls() -> None:
    needs = Needs()

    assert needs.lacks("recall_at_1pct", 50, 1_000) is None
    assert needs.lacks("recall_at_1pct", 50, 999) == "999 benign rows, but 1,000 are needed"
    assert needs.lacks("recall_at_01pct", 50, 9_999) == "9,999 benign rows, but 10,000 are needed"
    assert needs.lacks("auroc", 49, 1_000) == "49 misuse rows, but 50 are needed"
    assert needs.lacks("auroc", 50, 49) == "49 benign rows, but 50 are needed"
    assert needs.lacks("flagged_at_1pct", None, 1_000) is None


def test_a_share_of_few_rows_has_an_interval_no_narrower_than_the_exact_one(made: Report) -> None:
    nothing = made.figures["benign", "calm", "flagged_at_1pct"]
    worst = made.figures["benign", WORST, "flagged_at_1pct"]
    noisy = made.figures["benign", "noisy", "flagged_at_1pct"]

    assert nothing.exact
    assert (nothing.low, nothing.high) == pytest.approx(clopper_pearson(0, 100))
    assert noisy.low <= clopper_pearson(2, 100)[0] < clopper_pearson(2, 100)[1] <= noisy.high
    assert worst.low <= noisy.low < noisy.high <= worst.high
    assert not made.figures["misuse", "bad", "auroc"].exact


@pytest.mark.parametrize("label", [0, 1])
def test_rows_of_one_label_have_a_report_that_says_little(label: int) -> None:
    rows = [Row(str(n), "0.5", label, "s", "MIT") for n in range(3)]

    found = evaluate(Parrot(), rows, lambda _: None)[Part.PROMPT]

    assert {key[0] for key in found.figures} == ({"benign"} if label == 0 else set())
    assert as_json(found)["misuse"] == {}


def test_the_json_report_holds_every_figure_with_its_interval(made: Report) -> None:
    value, low, high = as_json(made)["misuse"]["bad"]["auroc"]

    assert low <= value <= high
    assert as_json(made)["rows"]["misuse/worse"] == 4


def test_the_card_lists_misuse_and_benign_sources_worst_first(made: Report) -> None:
    licences = {"calm": Licence("MIT", trains=True)}
    sources = card.source_table([Row("1", "t", 0, "calm", "MIT")], licences, 10)
    text = card.render("1-abc", {}, {Part.PROMPT: made}, [Cost("native", 2, 1, "x", 0.5)], sources)

    assert "1-abc" in text
    assert "| native | 2.0 | 1.0 | 0.500 | x |" in text
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


def test_floors_reach_every_kind_of_figure() -> None:
    battery = {("robustness", "base64", "recall_kept"): Estimate(0.1, 0, 0.2)}
    scored = replace(SCORED, categories={Category.CYBER: CYBER})
    limits = {
        "prompt": {
            "least": {"robustness/base64/recall_kept": 0.5, "category/cyber/auroc": 0.999},
            "most": {"calibration/any/ece": 0.001},
        }
    }

    missed = floors.breaches({Part.PROMPT: report(scored, FEW, battery)}, limits)

    assert [it.split(" is ")[0] for it in missed] == [
        "prompt: robustness/base64/recall_kept",
        "prompt: category/cyber/auroc",
        "prompt: calibration/any/ece",
    ]


def test_floors_that_speak_of_nothing_there_is_are_refused(made: Report) -> None:
    with pytest.raises(DataError, match="parts are prompt, answer, exchange"):
        floors.breaches({}, {"prompts": {}})
    with pytest.raises(DataError, match="kind/source/figure"):
        floors.breaches({Part.PROMPT: made}, {"prompt": {"least": {"auroc": 1}}})


def test_a_figure_that_is_not_reported_misses_its_floor(made: Report) -> None:
    limits = {
        "prompt": {"least": {"misuse/gone/auroc": 0.1}},
        "answer": {"least": {"misuse/bad/auroc": 0.1}},
    }

    assert len(floors.breaches({Part.PROMPT: made}, limits)) == 2


def test_the_floors_file_must_be_there_and_be_toml(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"floors\.toml cannot be read: .* a TOML file of floors"):
        floors.read(tmp_path / "floors.toml")
    (tmp_path / "floors.toml").write_text("= nonsense")
    with pytest.raises(DataError, match="floors cannot be read"):
        floors.read(tmp_path / "floors.toml")
