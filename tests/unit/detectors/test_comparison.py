"""Several detectors in one report: markdown and JSON."""

import json

import pytest

from detectors.api import Part
from detectors.comparison import Evaluated, all_as_json, as_markdown, comparison
from detectors.cost import Cost
from detectors.tables import UNMEASURED
from tests.real_parts.evaluated import two_evaluated


@pytest.fixture(scope="module")
def evaluated() -> list[Evaluated]:
    return two_evaluated()


def test_each_detector_reports_on_its_own_parts(evaluated: list[Evaluated]) -> None:
    assert [set(it.reports) for it in evaluated] == [
        {Part.PROMPT},
        {Part.PROMPT, Part.ANSWER},
    ]
    assert evaluated[0].reports[Part.PROMPT] == evaluated[1].reports[Part.PROMPT]


def test_markdown_has_them_side_by_side_and_each_by_itself(evaluated: list[Evaluated]) -> None:
    text = "\n".join(as_markdown(evaluated))

    assert "### Detectors on prompts" in text
    assert text.count("\n| second | ") == 3
    assert "# second 1" in text
    assert "| loud | 120 | " in text
    assert "| calm \\|<b> | 120 | " in text
    assert UNMEASURED in text
    assert "secretword" not in text


def test_differences_are_of_the_same_rows_in_every_round(evaluated: list[Evaluated]) -> None:
    [table] = [it for it in comparison(evaluated) if it.title == "Against first <i> on prompts"]

    assert len(table.rows) == 1
    assert table.rows[0][1] == "+0.000 (+0.000 to +0.000)"


def test_one_detector_has_nothing_beside_it(evaluated: list[Evaluated]) -> None:
    assert "side by side" not in "\n".join(as_markdown(evaluated[1:]))


def test_json_holds_every_kind_of_figure(evaluated: list[Evaluated]) -> None:
    first, second = json.loads(json.dumps(all_as_json(evaluated)))["detectors"]

    assert (first["name"], second["version"], first["cost"]) == ("first <i>", "1", None)
    found = second["parts"]["prompt"]
    assert found["category"]["cyber"]["own_auroc"][0] == 0.5
    assert len(found["robustness"]["base64"]["recall_kept"]) == 3
    assert len(found["calibration"]["any"]["ece"]) == 3
    assert found["curves"]["recall"]["loud"][-1] == 1
    assert sum(it["rows"] for it in found["reliability"]) == 240
    assert "secretword" not in json.dumps(all_as_json(evaluated))


def test_costs_are_shown_where_they_were_measured(evaluated: list[Evaluated]) -> None:
    cost = Cost("native", 2, 1, "a machine", 0.5)
    priced = Evaluated("third", "2", evaluated[0].reports, cost)

    text = "\n".join(as_markdown([priced]))

    assert "| third | native | 2.0 | 1.0 | 0.500 | a machine |" in text
