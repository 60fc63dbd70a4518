"""What leaves the gate of an answer, and when."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.api import Category, Part
from service.core.gate import AnswerGate
from service.core.policies import AnswerMode, Policy, policy_of
from service.core.screening import Point
from service.core.screens import ModelScreens, Screen
from service.core.surfaces.answers import PartName, Piece
from tests.real_parts.phrase_detector import PHRASE, BrokenDetector, PhraseDetector

WINDOW = 30
POINT = Point("p", "phrase", Category.ANY, Part.ANSWER, 0.5, "block", frozenset())
BUFFER = Policy(1, "refuse", AnswerMode.BUFFER, 1, "refuse")
TEXT: PartName = "text"
CALLS: PartName = "tool_calls"


def screens(
    detector: PhraseDetector | None = None,
    window: int = WINDOW,
    policy: Policy | None = None,
    *,
    observe_only: bool = False,
) -> ModelScreens:
    policy = policy or replace(policy_of(2), window_chars=window)
    screen = Screen(detector or PhraseDetector(), (POINT,))
    return ModelScreens(policy, answer=(screen,), observe_only=observe_only)


def window_gate(window: int = WINDOW) -> AnswerGate:
    return AnswerGate(screens(window=window))


@dataclass
class Passed:
    """What a caller would have got of each choice, and whether the answer was cut off."""

    texts: dict[int, str]
    was_cut: bool


def run(gate: AnswerGate, pieces: Sequence[Piece], ends: bool = True) -> Passed:
    """Send pieces through a gate as a relay does, one an event."""
    passed = Passed({}, was_cut=False)

    def deliver(events: Sequence[bytes]) -> None:
        for event in events:
            piece = pieces[int(event)]
            passed.texts[piece.choice] = passed.texts.get(piece.choice, "") + piece.text

    for number, piece in enumerate(pieces):
        gate.take(b"%d" % number, [piece])
        if gate.crossed:
            passed.was_cut = True
            return passed
        deliver(gate.release())
    if ends:
        deliver(gate.release_rest())
    return passed


def cut_at(text: str, borders: Sequence[int]) -> list[str]:
    """Cut a text at these positions, wherever they are."""
    places = sorted({0, len(text), *(border % (len(text) + 1) for border in borders)})
    return [text[a:b] for a, b in pairwise(places)]


def test_text_stays_back_until_so_much_has_come_behind_it() -> None:
    gate = window_gate(10)
    gate.take(b"first", [Piece(0, TEXT, "12345")])
    assert gate.release() == []
    gate.take(b"second", [Piece(0, TEXT, "123456789")])
    assert gate.release() == []
    gate.take(b"third", [Piece(0, TEXT, "1")])
    assert gate.release() == [b"first"]


def test_an_event_without_text_does_not_wait() -> None:
    gate = window_gate()
    gate.take(b"role", [])
    assert gate.release() == [b"role"]


def test_events_leave_in_the_order_in_which_they_came() -> None:
    gate = window_gate(3)
    gate.take(b"a", [Piece(0, TEXT, "abc")])
    gate.take(b"b", [Piece(1, TEXT, "abcdef")])
    gate.take(b"c", [])
    gate.take(b"d", [Piece(1, TEXT, "ghi")])
    assert gate.release() == []
    gate.take(b"e", [Piece(0, TEXT, "def")])
    assert gate.release() == [b"a", b"b", b"c"]


def test_a_choice_that_has_finished_holds_nothing_back() -> None:
    gate = window_gate()
    gate.take(b"a", [Piece(0, TEXT, "abc")])
    gate.take(b"end", [], {0})
    assert gate.release() == [b"a", b"end"]


def test_text_after_the_end_of_its_choice_stays_back_until_the_answer_ends() -> None:
    gate = window_gate()
    gate.take(b"end", [Piece(0, TEXT, "a")], {0})
    assert gate.release() == [b"end"]
    for at in range(len(PHRASE) - 1):
        gate.take(b"late", [Piece(0, TEXT, PHRASE[at])], {0})
        assert gate.release() == []
    assert gate.release_rest() == [b"late"] * (len(PHRASE) - 1)


def test_tool_calls_stay_back_until_the_choice_ends_in_whatever_order_they_come() -> None:
    gate = window_gate(2)
    for number in range(20):
        gate.take(b"call", [Piece(0, CALLS, "arguments", 0)])
        assert gate.release() == [], number
    gate.take(b"next", [Piece(0, CALLS, "more arguments", 1)])
    gate.take(b"call", [Piece(0, CALLS, "arguments", 0)])
    gate.take(b"text", [Piece(0, TEXT, "and so on")])
    assert gate.release() == []
    gate.take(b"end", [], {0})
    assert gate.release() == [*[b"call"] * 20, b"next", b"call", b"text", b"end"]


def test_what_stands_beside_the_text_does_not_cut_it_to_pieces() -> None:
    gate = window_gate()
    for at, character in enumerate(PHRASE):
        pieces = [Piece(0, TEXT, character), Piece(0, "tokens", "x"), Piece(0, "other", "y")]
        gate.take(b"%d" % at, pieces)
    assert gate.crossed is not None


def test_tokens_are_held_back_and_screened_as_the_text_is() -> None:
    gate = window_gate()
    for at in range(WINDOW):
        gate.take(b"%d" % at, [Piece(0, "tokens", "x")])
    assert gate.release() == []
    gate.take(b"last", [Piece(0, "tokens", PHRASE)])
    assert gate.crossed is not None
    assert gate.generated_chars == 0


def test_an_event_waits_for_all_that_it_holds() -> None:
    gate = window_gate(5)
    gate.take(b"both", [Piece(0, TEXT, "a" * 5), Piece(0, "tokens", "b" * 5)])
    gate.take(b"text", [Piece(0, TEXT, "a" * 9)])
    assert gate.release() == []
    gate.take(b"tokens", [Piece(0, "tokens", "b" * 9)])
    assert gate.release() == [b"both"]


def test_a_phrase_is_found_across_reasoning_and_tool_calls() -> None:
    reasoning: PartName = "reasoning"
    for first, second in ((reasoning, TEXT), (TEXT, CALLS)):
        half = PHRASE.index(" ")
        gate = window_gate()
        gate.take(b"", [Piece(0, first, "so " + PHRASE)])
        assert gate.crossed is not None
        gate = window_gate()
        gate.take(b"", [Piece(0, first, "so ")])
        gate.take(b"", [Piece(0, second, PHRASE[:half])])
        gate.take(b"", [Piece(0, second, PHRASE[half:])])
        assert gate.crossed is not None


def test_buffer_releases_nothing_before_the_end() -> None:
    gate = AnswerGate(screens(policy=BUFFER))
    gate.take(b"a", [Piece(0, TEXT, "x" * 10_000)])
    assert gate.release() == []
    gate.take(b"end", [Piece(0, TEXT, "")], {0})  # of this choice, but not of the answer
    assert gate.release() == []
    assert gate.release_rest() == [b"a", b"end"]
    assert gate.released_chars == gate.generated_chars == 10_000


def test_a_gate_that_only_observes_holds_nothing_back_and_tells_what_it_saw() -> None:
    gate = AnswerGate(screens(observe_only=True))
    gate.take(b"a", [Piece(0, TEXT, PHRASE)])
    assert gate.release() == [b"a"]
    assert gate.crossed == (POINT, 1.0)


def test_what_passes_after_a_detector_failed_counts_as_unscanned() -> None:
    gate = AnswerGate(screens(BrokenDetector()))
    gate.take(b"a", [Piece(0, TEXT, "x" * WINDOW)])
    gate.take(b"b", [Piece(0, TEXT, "y")])
    assert gate.release() == []
    with pytest.raises(RuntimeError):
        gate.take(b"c", [Piece(0, TEXT, PHRASE)])
    gate.give_up()
    gate.release()
    assert gate.unscanned_chars > 0
    gate.take(b"d", [Piece(0, TEXT, PHRASE)])
    assert gate.release() == [b"d"]
    assert gate.released_chars == gate.generated_chars


@settings(deadline=None)
@given(
    around=st.tuples(st.text(max_size=80), st.text(max_size=80), st.text(max_size=60)),
    borders=st.lists(st.integers(0, 10_000), max_size=40),
    choice=st.integers(0, 3),
    part=st.sampled_from(["text", "reasoning", "refusal", "tool_calls"]),
)
def test_no_character_of_a_phrase_leaves_wherever_it_is_and_however_it_is_split(
    around: tuple[str, str, str], borders: list[int], choice: int, part: PartName
) -> None:
    before, after, other = around
    call = 0 if part == "tool_calls" else -1
    pieces = [Piece(choice, part, text, call) for text in cut_at(before + PHRASE + after, borders)]
    mixed = [p for piece in pieces for p in (Piece(choice + 1, TEXT, other), piece)]
    for sequence in (pieces, mixed):
        passed = run(window_gate(), sequence)
        assert passed.was_cut
        assert before.startswith(passed.texts.get(choice, ""))


@settings(deadline=None)
@given(
    text=st.text(max_size=200).filter(lambda text: PHRASE not in text),
    borders=st.lists(st.integers(0, 10_000), max_size=40),
    window=st.integers(1, 300),
)
def test_benign_text_leaves_whole_and_no_more_than_the_window_stays_back(
    text: str, borders: list[int], window: int
) -> None:
    pieces = [Piece(0, TEXT, part) for part in cut_at(text, borders)]
    passed = run(window_gate(window), pieces, ends=False)
    left = len(text) - len(passed.texts.get(0, ""))
    longest = max((len(piece.text) for piece in pieces), default=0)
    assert left < window + max(longest, 1)
    assert run(window_gate(window), pieces).texts.get(0, "") == text


@given(st.lists(st.integers(0, 200), max_size=6))
def test_escapes_in_a_call_hide_nothing_wherever_they_are_cut(borders: list[int]) -> None:
    arguments = '{"q": "' + "".join(f"\\u{ord(c):04x}" for c in PHRASE) + '"}'
    pieces = [Piece(0, CALLS, text, 0) for text in cut_at(arguments, borders)]
    assert run(window_gate(), pieces).was_cut
    gate = window_gate()
    gate.take_whole([Piece(0, CALLS, arguments, 0)])
    assert gate.crossed is not None


def test_an_escape_that_is_cut_by_another_call_is_finished_by_its_own() -> None:
    gate = window_gate()
    gate.take(b"a", [Piece(0, CALLS, PHRASE[:-1] + "\\u00", 0)])
    gate.take(b"b", [Piece(0, CALLS, "x", 1)])
    gate.take(b"c", [Piece(0, CALLS, f"{ord(PHRASE[-1]):02x}", 0)])
    assert gate.crossed is None  # the other call came between
    gate.take(b"d", [Piece(0, CALLS, " " + PHRASE[:-1] + f"\\u{ord(PHRASE[-1]):04x}", 0)])
    assert gate.crossed is not None


def test_a_call_that_is_no_json_is_read_as_it_stands() -> None:
    gate = window_gate()
    gate.take(b"a", [Piece(0, CALLS, "\\" + PHRASE, 0)])
    assert gate.crossed is not None
    gate = window_gate()
    gate.take_whole([Piece(0, CALLS, "\\" + PHRASE, 0)])
    assert gate.crossed is not None
