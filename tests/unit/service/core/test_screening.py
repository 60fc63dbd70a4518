import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.api import Category, Part
from service.core.screening import (
    Point,
    crossed,
    gravest,
    text_digest,
    unexpired,
    verdict_id,
)

FACTS: dict[str, object] = {
    "detector": "lexical",
    "part": Part.PROMPT,
    "model": "m",
    "tier": 1,
    "project": "search",
    "surface": "chat",
}


def point(threshold: float = 0.5, models: frozenset[str] = frozenset(), **more: Any) -> Point:  # noqa: ANN401
    return Point("p", "lexical", Category.ANY, Part.PROMPT, threshold, "page", models, **more)


def crosses(one: Point, score: float = 0.5, **what: object) -> bool:
    facts = FACTS | what
    return bool(crossed([one], scores={Category.ANY: score}, **facts))  # type: ignore[arg-type]


def test_a_score_that_equals_the_threshold_crosses_and_one_below_does_not() -> None:
    assert crosses(point(0.5), 0.5)
    assert not crosses(point(0.5), 0.499999)
    assert crosses(point(0.0), 0.0)


@pytest.mark.parametrize(
    "other", [{"detector": "other"}, {"part": Part.ANSWER}], ids=["detector", "part"]
)
def test_a_point_is_of_one_detector_and_one_part(other: dict[str, object]) -> None:
    assert not crosses(point(), 0.9, **other)


def test_a_point_without_models_is_for_all_and_one_with_models_for_those() -> None:
    assert crosses(point(), 0.9, model="any")
    assert crosses(point(models=frozenset({"m", "n"})), 0.9, model="m")
    assert not crosses(point(models=frozenset({"n"})), 0.9, model="m")


def test_a_category_that_was_not_scored_crosses_nothing() -> None:
    assert crossed([point(0.0)], scores={}, **FACTS) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("scope", [{"tier": 2}, {"project": "lab"}, {"surface": "messages"}])
def test_a_point_is_crossed_within_its_scope_alone(scope: dict[str, Any]) -> None:
    assert not crosses(point(**scope), 0.9)
    assert crosses(point(**scope), 0.9, **scope)


def test_a_point_applies_until_the_moment_that_it_expires() -> None:
    ends, stays = point(expires_at=10.0), point()
    assert unexpired([ends, stays], 9.9) == ((ends, stays), 10.0)
    assert unexpired([ends, stays], 10.0) == ((stays,), math.inf)


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ([], "none"),
        (["record"], "record"),
        (["page", "record"], "page"),
        (["none"], "none"),
        (["case", "record"], "case"),
        (["case", "page"], "page"),
    ],
)
def test_the_gravest_action_asks_for_most(actions: list[str], expected: str) -> None:
    assert gravest(actions) == expected


@given(st.lists(st.text(), min_size=5, max_size=5), st.lists(st.text(), min_size=5, max_size=5))
def test_verdict_ids_are_the_same_for_the_same_facts_alone(a: list[str], b: list[str]) -> None:
    facts = [["ex-" + one[0].replace("\0", ""), *one[1:]] for one in (a, b)]
    if any("\0" in text for fact in facts for text in fact):
        return  # ids, names, versions and digests hold none
    ids = [
        verdict_id(fact[0], Part.PROMPT, fact[1], fact[2], text_digest(fact[3])) for fact in facts
    ]
    assert (ids[0] == ids[1]) is (facts[0][:4] == facts[1][:4])


def test_any_text_has_a_digest_lone_surrogates_included() -> None:
    assert text_digest("\ud800") != text_digest("\ud801")
