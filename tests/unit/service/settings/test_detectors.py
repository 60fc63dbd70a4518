from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from service.settings.detectors import SHIPPED, Detector, check_detectors

ADAPTER: TypeAdapter[tuple[Detector, ...]] = TypeAdapter(tuple[Detector, ...])
LEXICAL, RULES = {"kind": "lexical"}, {"kind": "rules"}
FIRST = {"detector": "lexical"}


def cascade(*stages: dict[str, Any], name: str = "suite") -> dict[str, Any]:
    return {"kind": "cascade", "name": name, "stages": list(stages)}


def mistakes(*given: dict[str, Any]) -> list[str]:
    return [str(it) for it in check_detectors(ADAPTER.validate_python(given))]


def test_what_is_shipped_and_a_cascade_of_it_are_fine() -> None:
    assert list(check_detectors(SHIPPED)) == []
    own = {**LEXICAL, "name": "lexical-acme", "model": "/m", "shadow": True}
    stages: list[dict[str, Any]] = [
        {"detector": "lexical"},
        {"detector": "rules", "combine": "max"},
        {"detector": "lexical-acme", "band": [0.1, 0.9], "max_share": 0.05},
    ]
    assert mistakes(LEXICAL, RULES, own, cascade(*stages)) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "detectors: there are none"),
        ([LEXICAL, LEXICAL], "detectors[1].name: 'lexical' is already taken by detectors[0]"),
        (
            [LEXICAL, cascade({"detector": "semantic"})],
            "detectors[1].stages[0].detector: there is no 'semantic' that is no cascade; there",
        ),
        (
            [LEXICAL, cascade({"detector": "lexical"}), cascade({"detector": "suite"}, name="b")],
            "detectors[2].stages[0].detector: there is no 'suite'",
        ),
        (
            [LEXICAL, cascade({"detector": "lexical"}), cascade({"detector": "lexical"}, name="b")],
            "detectors[2].stages[0].detector: 'lexical' is a stage of suite already",
        ),
        (
            [
                LEXICAL,
                RULES,
                cascade({"detector": "lexical"}, {"detector": "rules", "band": [1, 0]}),
            ],
            "detectors[2].stages[1].band: expected the lower end first",
        ),
        (
            [LEXICAL, cascade({"detector": "lexical", "max_share": 0.1})],
            "detectors[1].stages[0]: the first stage sees everything",
        ),
        (
            [{**LEXICAL, "shadow": True}, cascade({"detector": "lexical"})],
            "detectors[1].stages[0]: the first stage sees everything",
        ),
    ],
)
def test_what_cannot_work_is_told_with_its_place(given: list[dict[str, Any]], words: str) -> None:
    [told] = mistakes(*given)
    assert told.startswith(words)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "lexicle"},
        {"name": "lexical"},
        {**LEXICAL, "name": "Upper Case"},
        cascade(),
        cascade({"detector": "lexical", "max_share": 1.5}),
        cascade({"detector": "lexical", "combine": "shadow"}),
    ],
)
def test_sections_of_another_shape_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        ADAPTER.validate_python([wrong])


@pytest.mark.parametrize("weight", [0, -1, float("inf"), float("nan"), 1e308])
def test_a_weight_that_makes_no_mean_is_refused(weight: float) -> None:
    with pytest.raises(ValidationError, match="weight"):
        ADAPTER.validate_python([LEXICAL, cascade(FIRST | {"weight": weight})])
