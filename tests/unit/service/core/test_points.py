"""What is wrong with a point, which points conflict, and what becomes of them."""

from dataclasses import replace
from typing import Any, Final

import pytest

from detectors.api import Category, Part
from service.core.points import (
    KnownDetector,
    OperatingPoint,
    PointFacts,
    PointModel,
    PointScope,
    PointSource,
    conflict,
    flaws,
    has_expired,
)

NOW: Final = 1000.0
POINT: Final = OperatingPoint("op_1", 1, "lexical", Category.ANY, Part.PROMPT, 0.9, "block")
DETECTORS: Final = {
    "lexical": KnownDetector({Category.ANY}, {Part.PROMPT, Part.ANSWER}, is_inline=True),
    "slow": KnownDetector({Category.BIO}, frozenset(Part), is_inline=False),
    "inside": KnownDetector(
        {Category.ANY}, {Part.PROMPT, Part.ANSWER}, is_inline=False, reads_probes=True
    ),
}
MODELS: Final = (
    PointModel("open", 1, can_cut_off=False),
    PointModel("held", 2, can_cut_off=True),
    PointModel("probed", 3, can_cut_off=True, has_probes=True),
)
INSIDE: Final[dict[str, Any]] = {"detector": "inside", "part": Part.ANSWER}


def wrong(**changes: Any) -> list[tuple[str, str]]:  # noqa: ANN401
    return [*flaws(replace(POINT, **changes), PointFacts(DETECTORS, MODELS), NOW)]


def test_nothing_is_wrong_with_a_point_that_can_do_what_it_says() -> None:
    assert wrong() == []
    slow = {"detector": "slow", "category": Category.BIO, "part": Part.EXCHANGE}
    assert wrong(action="case", **slow) == []
    assert wrong(part=Part.ANSWER, scope=PointScope(models=frozenset({"held"}))) == []
    assert wrong(part=Part.ANSWER, scope=PointScope(tier=2)) == []
    assert wrong(scope=PointScope(tier=3), **INSIDE) == []
    assert wrong(action="page", **INSIDE) == []


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"threshold": 1.1}, "threshold", "from 0 to 1"),
        ({"threshold": float("nan")}, "threshold", "from 0 to 1"),
        ({"action": "shout"}, "action", "there are: record, case, page, block"),
        ({"expires_at": NOW}, "expires_at", "has expired"),
        ({"detector": "lexicul"}, "detector", "'lexicul'; there are: inside, lexical, slow"),
        ({"category": Category.BIO}, "category", "no score for bio; it does for: any"),
        ({"part": Part.EXCHANGE, "action": "page"}, "part", "it does score: answer, prompt"),
        (
            {"scope": PointScope(models=frozenset({"x"}))},
            "models",
            "'x'; there are: held, ",
        ),
        ({"scope": PointScope(tier=4)}, "tier", "no such model of tier 4"),
        ({"part": Part.ANSWER}, "action", "those of the model 'open' are observed"),
        (
            {"detector": "slow", "category": Category.BIO, "part": Part.EXCHANGE},
            "action",
            "nothing is left to block",
        ),
        ({"detector": "slow", "category": Category.BIO}, "action", "too slow"),
        ({"detector": "inside"}, "action", "can cut off answers alone"),
        (
            {**INSIDE, "scope": PointScope(tier=2)},
            "action",
            "those of the model 'held' tell nothing: set its upstream's probes",
        ),
    ],
)
def test_what_a_point_cannot_do_is_told_with_what_it_can(
    changes: dict[str, Any], field: str, words: str
) -> None:
    ((found, said),) = wrong(**changes)
    assert found == field
    assert words in said


def test_two_points_conflict_that_differ_in_nothing_but_the_threshold() -> None:
    other = replace(POINT, id="op_2", threshold=0.5)
    assert conflict(other, [POINT], NOW) is POINT
    assert conflict(replace(POINT, version=2), [POINT], NOW) is None
    assert conflict(replace(other, action="page"), [POINT], NOW) is None
    assert conflict(replace(other, scope=PointScope(project="lab")), [POINT], NOW) is None
    assert conflict(other, [replace(POINT, expires_at=NOW)], NOW) is None


def test_an_expiry_counts_from_its_instant_on() -> None:
    ends = replace(POINT, expires_at=NOW)
    assert not has_expired(ends, NOW - 0.001)
    assert has_expired(ends, NOW)
    assert not has_expired(POINT, NOW)


def test_a_point_without_a_version_stands_in_the_settings() -> None:
    assert replace(POINT, version=0).source is PointSource.SETTINGS
    assert POINT.source is PointSource.STORE


def test_scores_are_held_to_all_that_a_point_says() -> None:
    scope = PointScope(2, frozenset({"held"}), "lab", "chat")
    point = replace(POINT, scope=scope, expires_at=5.0).to_point()
    assert (point.name, point.version, point.threshold) == ("op_1", 1, 0.9)
    assert (point.tier, point.project, point.surface) == (2, "lab", "chat")
    assert point.models == {"held"}
    assert point.expires_at == 5.0
    assert point.is_narrow
