from dataclasses import replace

from detectors import lexical
from detectors.api import Part
from detectors.data import Row
from detectors.retraining.forgetting import CheckSet, Kept, built_in, compare, table, verdict
from detectors.retraining.rows import UNLABELLED
from tests.unit.detectors.retraining import own

KEPT = Kept("mine", Part.PROMPT, 100, 0.99, 0.01, ((0.1, 0.1), (0.0, 0.0)), None)


def test_there_are_texts_for_prompts_and_answers_in_everyones_installation() -> None:
    parts = {part for it in built_in() for row in it.rows for part in row.parts}

    assert parts == set(Part)
    assert sum(len(it.rows) for it in built_in()) > 200


def test_a_model_forgets_nothing_beside_itself() -> None:
    model = lexical.load()
    checks = [CheckSet("mine", own.rows(40)), CheckSet("elsewhere", [])]
    [found] = compare(model, model, Part.PROMPT, checks)

    assert (found.correlation, found.mean_change, found.texts) == (1.0, 0.0, 40)
    assert found.aurocs is not None
    assert not found.is_much_lost
    assert "kept what the base model knew" in verdict([found])


def test_texts_of_one_score_have_no_order() -> None:
    same = [Row(str(n), "the same text", UNLABELLED, "own", "own") for n in range(5)]
    model = lexical.load()
    [found] = compare(model, model, Part.PROMPT, [CheckSet("same", same)])

    assert found.correlation is None
    assert not found.is_much_lost


def test_labels_say_what_was_lost_and_the_order_does_where_there_are_none() -> None:
    assert replace(KEPT, correlation=0.5).is_much_lost
    assert replace(KEPT, aurocs=(0.9, 0.8)).is_much_lost
    assert not replace(KEPT, correlation=0.5, aurocs=(0.6, 0.9)).is_much_lost
    assert "forgot much" in verdict([KEPT, replace(KEPT, name="old", correlation=0.1)])
    assert "(old)" in verdict([KEPT, replace(KEPT, name="old", correlation=0.1)])


def test_the_table_tells_shares_before_and_after() -> None:
    [row] = table([KEPT]).rows

    assert row[:4] == ["mine", "prompt", "100", "0.990"]
    assert "10.0% → 10.0%" in row
