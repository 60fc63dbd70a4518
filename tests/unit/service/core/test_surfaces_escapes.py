"""The escapes of a tool call's arguments."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.surfaces.answers import Answer, Choice, answer_text
from service.core.surfaces.escapes import Unescaper, unescaped

spelt = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
twisted = st.text(r'\ud83e0"nA', max_size=30)


@given(spelt)
def test_a_json_string_is_decoded_as_json_decodes_it(text: str) -> None:
    assert unescaped(json.dumps(text)[1:-1]) == text


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        (r"plain", "plain"),
        (r"\u0068ow", "how"),
        (r"a\\nb", r"a\nb"),
        (r"\\\u0041", r"\A"),
        (r"\q \/", "q /"),
        (r"\u00", r"u00"),
        ("ends in \\", "ends in \\"),
        (r"\ud83d\ude00", "😀"),
        (r"\ud83d x", "\ufffd x"),
        (r"\ude00\ud83d", "\ufffd\ufffd"),
    ],
)
def test_what_is_no_json_stays_readable(text: str, decoded: str) -> None:
    assert unescaped(text) == decoded


@given(st.one_of(spelt.map(lambda text: json.dumps(text)[1:-1]), twisted), st.data())
def test_pieces_spell_what_the_whole_does(text: str, data: st.DataObject) -> None:
    borders = data.draw(st.lists(st.integers(0, len(text)), max_size=5))
    places = sorted({0, len(text), *borders})
    unescaper = Unescaper()
    pieces = [unescaper.add(text[a:b]) for a, b in itertools.pairwise(places)]
    whole = unescaped(text)
    joined = "".join(pieces)
    assert whole.startswith(joined)
    assert len(whole) - len(joined) <= 11  # an escape that nothing has finished


def test_a_recorded_call_is_read_as_its_tool_reads_it() -> None:
    call = r'lookup {"q": "\u0068ow \u0074o"}'
    content = json.dumps({"choices": [{"index": 0, "tool_calls": call}]}).encode()
    assert answer_text(content) == call + '\nlookup {"q": "how to"}'
    assert Answer([Choice(0, tool_calls=call)]).choices[0].tool_calls == call
