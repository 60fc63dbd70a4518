"""What screening a prompt finds when its time runs out."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count

import pytest

from detectors.api import Category, Part
from service.core.policies import policy_of
from service.core.screening import TOO_LATE, Point
from service.core.screens import ModelScreens, Screen
from service.core.surfaces.chat import CHAT
from service.core.surfaces.shape import Request, parse
from service.gateway import prompt_screen
from service.gateway.prompt_screen import CHUNK_CHARS, PromptScreen
from tests.real_parts.phrase_detector import PHRASE, PhraseDetector, Scores

POINT = Point("p", "phrase", Category.ANY, Part.PROMPT, 0.5, "block", frozenset())


def asked(*texts: str) -> Request:
    messages = [{"role": "user", "content": text} for text in texts]
    return parse(json.dumps({"model": "m", "messages": messages}).encode())


def screen(
    ticks: Callable[[], float], deadline_s: float, detector: PhraseDetector | None = None
) -> PromptScreen:
    policy = replace(policy_of(2), prompt_deadline_s=deadline_s)
    screens = (Screen(detector or PhraseDetector(), (POINT,)),)
    return PromptScreen(ModelScreens(policy, screens), ticks)


@dataclass(frozen=True, slots=True)
class NotingDetector(PhraseDetector):
    """Notes what it was asked about."""

    seen: list[str] = field(default_factory=list)

    def score_text(self, text: str, part: Part) -> Scores:
        self.seen.append(text)
        return PhraseDetector.score_text(self, text, part)


def steps(size_s: float) -> Callable[[], float]:
    """A clock that goes on by so much at each look."""
    times: Iterator[int] = count()
    return lambda: next(times) * size_s


async def test_the_newest_message_comes_first_and_counts_though_the_time_is_over() -> None:
    late = screen(steps(0.001), deadline_s=0.0015)  # for one message of many
    finding = await late.look(CHAT, asked(*["padding"] * 50, PHRASE))
    assert finding.unscanned == TOO_LATE
    assert finding.crossed == ((POINT, 1.0),)


async def test_what_was_screened_before_the_time_was_over_is_not_screened_again() -> None:
    detector = NotingDetector()
    late = screen(lambda: 0.001 * len(detector.seen), 0.0035, detector)  # screening takes a while
    request = asked(*[f"message {number}" for number in range(8)])
    findings = [(await late.look(CHAT, request)).unscanned for _ in range(3)]
    assert findings == [TOO_LATE, None, None]
    assert sorted(detector.seen) == [f"message {number}" for number in range(8)]


async def test_the_time_is_looked_at_between_the_chunks_of_one_long_message() -> None:
    late = screen(steps(0.001), deadline_s=0.0035)
    text = "padding " * (5 * CHUNK_CHARS // 8) + PHRASE
    finding = await late.look(CHAT, asked(text))
    assert finding.unscanned == TOO_LATE
    assert finding.crossed == ()


async def test_others_have_their_turn_and_their_time_does_not_count() -> None:
    waiting = screen(steps(0.002), deadline_s=0.1)
    others: list[int] = []
    look = asyncio.ensure_future(waiting.look(CHAT, asked(*["padding"] * 40)))
    while not look.done():
        others.append(len(others))
        await asyncio.sleep(0)
    assert len(others) > 10
    assert (await look).unscanned is None


async def test_segments_are_remembered_as_long_as_they_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prompt_screen, "_MAX_KEPT", 20)
    detector = NotingDetector()
    remembering = screen(steps(0), 1.0, detector)
    await remembering.look(CHAT, asked(PHRASE))
    for number in range(100):
        finding = await remembering.look(CHAT, asked(PHRASE, f"padding {number}"))
        assert finding.crossed == ((POINT, 1.0),)
    await remembering.look(CHAT, asked("padding 0"))

    assert detector.seen.count(PHRASE) == 1
    assert detector.seen.count("padding 0") == 2


async def test_no_more_segments_are_remembered_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prompt_screen, "_MAX_KEPT", 20)
    remembering = screen(steps(0), 1.0)
    for number in range(200):
        await remembering.look(CHAT, asked(f"padding {number}"))
    assert len(remembering._kept) + len(remembering._kept_before) <= 20
