"""What a caller gets of a stream that must not say something, wherever and however it says it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.api import Category, Part
from service.core.callers import Caller
from service.core.policies import AnswerMode, policy_of
from service.core.screening import Point
from service.core.screens import ModelScreens, Screen
from service.core.surfaces import SURFACES
from service.core.surfaces.shape import Request
from service.core.tiers import TIERS
from service.events.schema import Closed
from service.gateway.balancer import Balancer
from service.gateway.exchange import Exchange, ExchangeIds, ServedModel
from service.gateway.http_answer import Answer, Sink
from service.gateway.relay import Relay
from tests.real_parts.phrase_detector import PHRASE, PhraseDetector
from tests.real_parts.streams import (
    MODEL,
    ChatShape,
    CompletionsShape,
    MessagesShape,
    ResponsesShape,
    Said,
    Shape,
)

WINDOW = len(PHRASE) - 1  # the least that can do
SHAPES: list[Shape] = [ChatShape(), CompletionsShape(), MessagesShape(), ResponsesShape()]
POINT = Point("p", "phrase", Category.ANY, Part.ANSWER, 0.5, "block", frozenset())


class Fed(Answer):
    """An answer that comes in just these pieces of bytes."""

    __slots__ = ("_pieces", "was_aborted")

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.status = 200
        self.headers = [(b"content-type", b"text/event-stream")]
        self._pieces = list(pieces)
        self.was_aborted = False

    async def pour(self, sink: Sink) -> bool:
        while self._pieces:
            if not sink(self._pieces.pop(0)):
                return True
        return False

    def abort(self) -> None:
        self.was_aborted = True


@dataclass(frozen=True)
class Relayed:
    """What became of an answer."""

    body: bytes
    closed: Closed
    was_cut: bool
    was_aborted: bool


async def relayed(shape: Shape, mode: AnswerMode, pieces: Sequence[bytes]) -> Relayed:
    """Relay a stream that comes in these pieces, as the gateway does."""
    policy = replace(policy_of(2), answer_mode=mode, window_chars=WINDOW)
    screens = ModelScreens(policy, answer=(Screen(PhraseDetector(), (POINT,)),))
    model = ServedModel.of("ours", MODEL, TIERS[2], cast("Balancer", None), screens)
    surface = SURFACES[shape.surface]
    exchange = Exchange(
        id="ex-1", ids=ExchangeIds("0" * 16), received_at=0.0, started=0.0,
        caller=Caller("k", "p", "p"), surface=surface, model=model,
        request=Request(b"{}", {}, "ours", stream=True, wants_usage=False),
        caller_request_id=None, traceparent=None, reader=surface.answer_reader(),
        gate=model.gate("ex-1"),
    )  # fmt: skip
    body = bytearray()

    async def send(message: Any) -> None:  # noqa: ANN401
        body.extend(message.get("body", b""))

    def send_now(message: Any) -> bool:  # noqa: ANN401
        body.extend(message.get("body", b""))
        return True

    async def finish() -> None:
        """Nothing is recorded here."""

    answer, relay = Fed(pieces), Relay(exchange, send, [])
    await relay.stream(answer, 2**24, finish, send_now)
    closed = exchange.closed("cut_off" if relay.was_cut else "completed")
    return Relayed(bytes(body), closed, relay.was_cut, answer.was_aborted)


def split(text: str | bytes, borders: Sequence[int]) -> list[Any]:
    """Cut at these places, wherever they are."""
    places = sorted({0, len(text), *(border % (len(text) + 1) for border in borders)})
    return [text[a:b] for a, b in pairwise(places)]


borders = st.lists(st.integers(0, 100_000), max_size=30) | st.just(range(500))  # or everywhere
plain_text = st.text(st.characters(codec="utf-8"), max_size=60)


@pytest.mark.parametrize("mode", [AnswerMode.WINDOW, AnswerMode.BUFFER])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.surface)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
async def test_nothing_of_it_arrives_wherever_it_is_and_however_it_is_split(
    shape: Shape, mode: AnswerMode, data: st.DataObject
) -> None:
    before, after = data.draw(plain_text), data.draw(plain_text)
    choice = data.draw(st.integers(0, shape.choices - 1))
    part = data.draw(st.sampled_from(shape.parts))
    said = [Said(choice, part, t) for t in split(before + PHRASE + after, data.draw(borders))]
    for index in range(shape.choices):  # what others say comes in between
        if index != choice:
            texts = split(data.draw(plain_text), data.draw(borders))
            said = _mixed(said, [Said(index, shape.parts[0], text) for text in texts])
    pieces = split(shape.stream(said), data.draw(borders))
    got = await relayed(shape, mode, pieces)
    assert got.was_cut
    assert got.was_aborted
    assert before.startswith(shape.read(got.body)[choice, part])
    assert PHRASE.encode() not in got.body
    assert b"filter" in got.body or b"refusal" in got.body
    if mode is AnswerMode.BUFFER:
        assert not "".join(shape.read(got.body).values())
    assert got.closed.screening is not None
    assert got.closed.screening.unscanned_chars == 0
    assert got.closed.released_chars == sum(map(len, shape.read(got.body).values()))


@pytest.mark.parametrize("mode", [AnswerMode.WINDOW, AnswerMode.BUFFER])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.surface)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
async def test_a_benign_stream_arrives_byte_for_byte_but_for_the_models_name(
    shape: Shape, mode: AnswerMode, data: st.DataObject
) -> None:
    said = [
        Said(choice, part, text)
        for choice in range(shape.choices)
        for part in shape.parts
        for text in split(data.draw(plain_text), data.draw(borders))
    ]
    sent = shape.stream(data.draw(st.permutations(said)) if len(said) < 40 else said)
    got = await relayed(shape, mode, split(sent, data.draw(borders)))
    assert not got.was_cut
    assert got.body == sent.replace(json.dumps(MODEL).encode(), b'"ours"')
    assert got.closed.released_chars == got.closed.generated_chars


def _mixed(some: list[Said], others: list[Said]) -> list[Said]:
    longer, shorter = (some, others) if len(some) >= len(others) else (others, some)
    mixed: list[Said] = []
    for i, one in enumerate(longer):
        mixed += [one, *shorter[i : i + 1]]
    return mixed
