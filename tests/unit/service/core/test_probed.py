"""What is known of an exchange, from what is told of its requests."""

from detectors import api
from service.core.probed import ANSWER, MOST_REQUESTS, PROMPT, Probed, Reading, Told

ANY = ("any", "cyber")
EARLY, LATE = Reading(10, 8, (0.5, -1.0)), Reading(20, 18, (0.25, 1.5))


def test_nothing_is_known_before_anything_is_told() -> None:
    assert Told().probed() == Probed("", ())


def test_the_last_word_on_a_part_counts() -> None:
    told = Told()
    told.take("d", ANY, "r", ANSWER, EARLY)
    told.take("d", ANY, "r", ANSWER, LATE)
    assert told.probed() == Probed("d", ANY, answer=LATE)


def test_parts_are_told_apart() -> None:
    told = Told()
    told.take("d", ANY, "r", PROMPT, EARLY)
    told.take("d", ANY, "r", ANSWER, LATE)
    assert told.probed() == Probed("d", ANY, EARLY, LATE)


def test_several_requests_are_added_up_and_the_highest_score_of_each_probe_counts() -> None:
    told = Told()
    told.take("d", ANY, "0_r", ANSWER, EARLY)
    told.take("d", ANY, "1_r", ANSWER, LATE)
    assert told.probed() == Probed("d", ANY, answer=Reading(30, 26, (0.5, 1.5)))


def test_an_answer_of_which_nothing_was_read_has_no_say() -> None:
    told = Told()
    told.take("d", ANY, "0_r", ANSWER, Reading(10, 10, (-5.0, -4.0)))
    told.take("d", ANY, "1_r", ANSWER, Reading(0, 0, (0.0, 0.0)))
    assert told.probed().answer == Reading(10, 10, (-5.0, -4.0))


def test_a_prompt_that_is_read_for_several_answers_counts_once_as_read_best() -> None:
    told = Told()
    told.take("d", ANY, "0_cmpl-a-0", PROMPT, Reading(100, 100, (1.0, 2.0)))
    told.take("d", ANY, "1_cmpl-a-0", PROMPT, Reading(100, 4, (9.0, 9.0)))
    assert told.probed().prompt == Reading(100, 100, (1.0, 2.0))
    told.take("d", ANY, "0_cmpl-a-1", PROMPT, Reading(50, 50, (0.0, 3.0)))
    assert told.probed().prompt == Reading(150, 150, (1.0, 3.0))


def test_as_many_probes_of_another_kind_make_void_what_was_told_before() -> None:
    told = Told()
    told.take("d", ANY, "r", ANSWER, EARLY)
    told.take("d", ("any",), "s", ANSWER, Reading(5, 5, (1.0,)))
    assert told.probed() == Probed("d", ("any",), answer=Reading(5, 5, (1.0,)))


def test_other_probes_make_void_what_was_told_before() -> None:
    told = Told()
    told.take("d", ANY, "r", PROMPT, EARLY)
    told.take("e", ("bio",), "r", ANSWER, Reading(2, 1, (3.0,)))
    assert told.probed() == Probed("e", ("bio",), answer=Reading(2, 1, (3.0,)))


def test_requests_without_end_take_no_more_memory() -> None:
    told = Told()
    for number in range(MOST_REQUESTS + 10):
        told.take("d", ANY, str(number), ANSWER, EARLY)
    told.take("d", ANY, "0", ANSWER, LATE)
    found = told.probed()
    assert found is not None
    assert found.answer is not None
    assert found.answer.tokens == 10 * (MOST_REQUESTS - 1) + 20


def test_detectors_get_the_reading_of_the_answers_with_the_digest_of_the_probes() -> None:
    assert Probed("d", ANY, prompt=EARLY).answers() is None
    assert Probed("d", ANY, EARLY, LATE).answers() == api.Reading("d", 20, 18, (0.25, 1.5))
