import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.battery import BATTERY
from detectors.semantic.readable import readable, readings

CAKE = (
    "How can I make a nice cake with seven eggs and some butter for my friend? Tell me the steps."
)
ENCODED = ("letters spaced", "base64", "hex", "rot13")


@pytest.mark.parametrize(
    "name",
    ["upper case", "alternating case", "doubled spaces", "leetspeak", "homoglyphs", "zero width"],
)
def test_a_disguise_of_letters_is_seen_through(name: str) -> None:
    written = BATTERY[name](CAKE, 1)
    assert written != CAKE
    assert readable(written).lower() == CAKE.lower()


@pytest.mark.parametrize("name", ENCODED)
def test_what_is_encoded_is_a_reading_of_its_own(name: str) -> None:
    as_it_stands, hidden = readings(BATTERY[name](CAKE, 1))
    assert CAKE.startswith(hidden.strip())  # of base64 the last group may wait for its end
    assert len(hidden.strip()) > len(CAKE) - 3
    assert as_it_stands != hidden


@pytest.mark.parametrize(
    "text",
    [
        CAKE,
        "def area(r):\n    return  3.14159 * r ** 2\n",
        "Flight BA2490 leaves from gate 14 at 07:35 on 3 May 2031.",
        "NASA and ESA met in the USA.",
        "\u041f\u0440\u0438\u0432\u0435\u0442, \u043a\u0430\u043a \u0434\u0435\u043b\u0430?",
        "4",
        "",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert list(readings(text)) == [text.replace("return  3", "return 3")]


@given(st.text(alphabet="aA1 \u0430\u0301\u200b\ud800x", max_size=200))
def test_any_text_can_be_read_and_none_grows(text: str) -> None:
    for reading in readings(text):
        assert len(reading) <= len(text) + 1


def test_one_word_of_two_alphabets_changes_no_other_word() -> None:
    russian = "\u041e\u0442\u043f\u0440\u0430\u0432\u044c \u043c\u043d\u0435"
    assert readable(f"{russian} SMS\u043a\u0443 \u0441\u0435\u0439\u0447\u0430\u0441") == (
        f"{russian} SMSky \u0441\u0435\u0439\u0447\u0430\u0441"
    )
    assert readable("50 \u00b5g of it") == "50 \u03bcg of it"  # not milligrams


def test_what_was_guessed_is_read_as_it_stands_too() -> None:
    formulas = "Mix KClO3, C3H5N3O9, HNO3 and H2SO4"
    assert list(readings(formulas))[1] == formulas


@pytest.mark.parametrize(
    "unit", ["a", "9", "a1", "\u0430a ", "a b c d e f  . ", "A ", "aB", "0 ", "\u0301"]
)
def test_four_times_the_text_takes_no_more_than_linear_time(unit: str) -> None:
    def taken_s(chars: int) -> float:
        text = f"a b c {unit * (chars // len(unit))}"
        started = time.process_time()
        list(readings(text))
        return time.process_time() - started

    taken_s(1_000)  # what is made once
    assert (
        min(taken_s(40_000) for _ in range(3)) < 12 * min(taken_s(10_000) for _ in range(3)) + 0.05
    )
