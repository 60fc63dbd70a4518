"""An answer that probes in vLLM see to cross a point is cut off while it streams."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from detectors.api import Part
from service.core.probed import Reading
from service.workers.items import Item
from tests.real_parts.gateway import CHAT, DONE, chat
from tests.real_parts.loops import on_uvloop
from tests.real_parts.probed_vllm import (
    CROSSED_AT,
    RISES,
    TOKENS,
    WINDOW,
    WORD,
    ProbedVllm,
    cutting_off,
    probed_gateway,
)
from tests.real_parts.reading_detector import LEAST_READ, NAME
from tests.real_parts.scripted import eventually
from vllm_probe.watch import EVERY_STEPS


def texts_in(body: bytes) -> dict[int, str]:
    """Return what a stream says, by choice."""
    texts: dict[int, str] = {}
    for choice in choices_in(body):
        texts[choice["index"]] = texts.get(choice["index"], "") + choice["delta"].get("content", "")
    return texts


def finish_reasons_in(body: bytes) -> list[str]:
    return [it["finish_reason"] for it in choices_in(body) if it["finish_reason"]]


def choices_in(body: bytes) -> list[dict[str, Any]]:
    events = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: {")]
    return [choice for it in events for choice in json.loads(it)["choices"]]


@on_uvloop
async def test_a_stream_ends_where_a_reading_crosses_and_little_of_it_has_left(
    tmp_path: Path,
) -> None:
    async with probed_gateway(ProbedVllm(), tmp_path) as one:
        reply = await one.post(CHAT, chat(stream=True))
        exchange = await one.exchange()
        assert one.outcomes() == {"cut_off": 1}
        await eventually(lambda: one.upstream.finished == 1)  # the work there was stopped
    assert finish_reasons_in(reply.body) == ["content_filter"]
    assert reply.body.endswith(DONE)
    released = texts_in(reply.body)[0]
    assert 0 < len(released) <= CROSSED_AT * len(WORD) - WINDOW
    assert (WORD * TOKENS).startswith(released)
    closed = exchange.closed
    assert closed.outcome == "cut_off"
    assert closed.released_chars == len(released)
    assert closed.probed is not None
    assert closed.probed.answer == Reading(CROSSED_AT, CROSSED_AT, (RISES[-1],))
    assert Item(closed, Part.ANSWER, "").enforced == "cut_off"
    screening = closed.screening
    assert screening is not None
    assert (screening.mode, screening.window_chars) == ("window", WINDOW)
    assert screening.detectors == (f"{NAME}/1",)
    assert screening.max_unscanned_chars is None
    (crossing,) = screening.crossed
    assert (crossing.point, crossing.detector) == (f"{NAME}/any/answer/block", NAME)
    assert (crossing.threshold, crossing.action) == (0.9, "block")
    assert crossing.score == pytest.approx(0.982, abs=0.001)


@pytest.mark.parametrize(
    "vllm",
    [
        ProbedVllm(rises=()),
        ProbedVllm(rises=(-4.0,) * (TOKENS // EVERY_STEPS)),
        ProbedVllm(probes="b" * 64),
        ProbedVllm(unread=CROSSED_AT - LEAST_READ + 1),
    ],
    ids=["nothing is read", "nothing is found", "other probes", "too little is read"],
)
@on_uvloop
async def test_an_answer_passes_whole_without_a_reading_that_crosses(
    tmp_path: Path, vllm: ProbedVllm
) -> None:
    async with probed_gateway(vllm, tmp_path) as one:
        reply = await one.post(CHAT, chat(stream=True))
        exchange = await one.exchange()
    assert texts_in(reply.body) == {0: WORD * TOKENS}
    assert finish_reasons_in(reply.body) == ["stop"]
    assert exchange.closed.outcome == "completed"
    assert exchange.closed.screening is not None
    assert exchange.closed.screening.crossed == ()
    assert exchange.closed.probed is not None
    assert (exchange.closed.probed.answer is None) is (not vllm.rises)


@on_uvloop
async def test_all_choices_end_when_what_is_read_of_one_crosses(tmp_path: Path) -> None:
    async with probed_gateway(ProbedVllm(choices=2), tmp_path) as one:
        reply = await one.post(CHAT, chat(stream=True, n=2))
        exchange = await one.exchange()
    assert finish_reasons_in(reply.body) == ["content_filter"] * 2
    for text in texts_in(reply.body).values():
        assert len(text) <= CROSSED_AT * len(WORD) - WINDOW
    assert exchange.closed.outcome == "cut_off"


@on_uvloop
async def test_buffer_releases_nothing_of_what_probes_find(tmp_path: Path) -> None:
    change = cutting_off("buffer")
    async with probed_gateway(ProbedVllm(), tmp_path, change) as one:
        reply = await one.post(CHAT, chat(stream=True))
    assert not any(texts_in(reply.body).values())
    assert finish_reasons_in(reply.body) == ["content_filter"]


@on_uvloop
async def test_a_whole_answer_that_probes_find_is_replaced(tmp_path: Path) -> None:
    async with probed_gateway(ProbedVllm(), tmp_path) as one:
        reply = await one.post(CHAT, chat())
        exchange = await one.exchange()
    (choice,) = reply.json["choices"]
    assert choice["finish_reason"] == "content_filter"
    assert not choice["message"]["content"]
    assert exchange.closed.outcome == "cut_off"
    assert exchange.closed.released_chars == 0
    assert exchange.closed.screening is not None
    assert [it.detector for it in exchange.closed.screening.crossed] == [NAME]


@on_uvloop
async def test_observing_only_lets_pass_and_records_what_was_read(tmp_path: Path) -> None:
    change = cutting_off(observe_only=True)
    async with probed_gateway(ProbedVllm(), tmp_path, change) as one:
        reply = await one.post(CHAT, chat(stream=True))
        exchange = await one.exchange()
    assert texts_in(reply.body) == {0: WORD * TOKENS}
    assert exchange.closed.outcome == "completed"
    assert exchange.closed.screening is not None
    assert exchange.closed.screening.observed_only
    assert [it.detector for it in exchange.closed.screening.crossed] == [NAME]


@on_uvloop
async def test_exchanges_under_way_together_are_judged_each_by_its_own_readings(
    tmp_path: Path,
) -> None:
    """One is looked at by readings that rise, the others at the same time by none."""

    class OneRises(ProbedVllm):
        async def tell(self, exchange: str, number: int) -> None:
            if int(exchange[-8:], 16) % 2:
                await super().tell(exchange, number)

    async with probed_gateway(OneRises(), tmp_path) as one:
        replies = await asyncio.gather(*(one.post(CHAT, chat(stream=True)) for _ in range(6)))
        assert one.outcomes() == {"cut_off": 3, "completed": 3}
    reasons = sorted(reason for it in replies for reason in finish_reasons_in(it.body))
    assert reasons == ["content_filter"] * 3 + ["stop"] * 3
