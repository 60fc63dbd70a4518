"""What screening a prompt finds when its time runs out."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

from detectors.api import Category, Part
from service.core.policies import policy_of
from service.core.screening import TOO_LATE, Point
from service.core.screens import ModelScreens, Screen
from service.core.surfaces.chat import CHAT
from service.core.surfaces.shape import Request, parse
from service.gateway.prompt_screen import PromptScreen
from tests.real_parts.phrase_detector import PHRASE, PhraseDetector

POINT = Point("p", "phrase", Category.ANY, Part.PROMPT, 0.5, "block", frozenset())


def asked(*texts: str) -> Request:
    messages = [{"role": "user", "content": text} for text in texts]
    return parse(json.dumps({"model": "m", "messages": messages}).encode())


def screen(ticks: Callable[[], float], deadline_s: float) -> PromptScreen:
    policy = replace(policy_of(2), prompt_deadline_s=deadline_s)
    return PromptScreen(ModelScreens(policy, (Screen(PhraseDetector(), (POINT,)),)), ticks)


def steps(size_s: float) -> Callable[[], float]:
    """A clock that goes on by so much at each look."""
    times: Iterator[int] = count()
    return lambda: next(times) * size_s


async def test_the_newest_message_comes_first_and_counts_though_the_time_is_over() -> None:
    late = screen(steps(0.001), deadline_s=0.0025)  # for one message of many
    finding = await late.look(CHAT, asked(*["padding"] * 50, PHRASE))
    assert finding.unscanned == TOO_LATE
    assert finding.crossed == ((POINT, 1.0),)


async def test_what_was_screened_before_the_time_was_over_is_not_screened_again() -> None:
    late = screen(steps(0.001), deadline_s=0.0105)
    request = asked(*[f"message {number}" for number in range(8)])
    findings = [(await late.look(CHAT, request)).unscanned for _ in range(8)]
    assert findings[0] == TOO_LATE
    assert findings[-1] is None
