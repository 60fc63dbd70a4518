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
