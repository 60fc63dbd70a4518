"""Operating points of the store, as gateways hold prompts and answers to them."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from detectors.api import Category, Part
from service.core.points import OperatingPoint, PointScope
from service.events.schema import Crossing, Opened, to_event
from service.settings import Settings
from service.store.points import Done, Versions, find_point, promote, propose, retire, roll_back
from service.wiring.detectors import Detectors
from tests.real_parts.gateway import (
    CHAT,
    COMPLETIONS,
    MODEL,
    RunningGateway,
    add_key_of_tests,
    answer_of,
    chat,
    chat_body,
    opened,
    running,
    screener_beats,
    settings_in,
)
from tests.real_parts.loops import on_uvloop
from tests.real_parts.phrase_detector import NAME, PHRASE, PhraseDetector
from tests.real_parts.scripted import ScriptedUpstream, answering, eventually

CATEGORIES = {NAME: frozenset({Category.ANY}), "slow": frozenset({Category.ANY})}


class SlowDetector:
    """A detector that is not for texts on their way."""

    name = "slow"
    version = "1"


DETECTORS = Detectors({NAME: PhraseDetector, "slow": SlowDetector}, CATEGORIES)  # type: ignore[dict-item]
POINT: Final = OperatingPoint("op_1", 0, NAME, Category.ANY, Part.PROMPT, 0.5, "block")
WITHIN_S: Final = 2.0
"""How soon a change must have its effect. Gateways ask each second, as they do by default."""


def each_second(written: dict[str, Any]) -> None:
    written["store"]["poll_s"] = 1.0
    policy = {"answer": {"mode": "window", "window_chars": 40}}
    written["screening"] = {"tiers": {1: policy}}


@asynccontextmanager
async def gateways(
    folder: Path, count: int = 1, change: Callable[[dict[str, Any]], None] = each_second
) -> AsyncIterator[list[RunningGateway]]:
    """Run gateways on one store."""
    async with ScriptedUpstream(answering(answer_of(chat_body(f"say {PHRASE}")))) as upstream:
        settings = settings_in(folder, upstream.port, 1, change)
        add_key_of_tests(settings)
        screener_beats(settings)
        async with AsyncExitStack() as stack:
            yield [
                await stack.enter_async_context(
                    running(elsewhere(settings, number), upstream, DETECTORS)
                )
                for number in range(count)
            ]


def elsewhere(settings: Settings, number: int) -> Settings:
    """Return the settings of another machine, with the same store and the same pepper."""
    if number == 0:
        return settings
    folder = settings.data_dir.with_name(f"data-{number}")
    folder.mkdir(mode=0o700)
    shutil.copy(settings.data_dir / "pepper", folder / "pepper")
    return settings.model_copy(update={"data_dir": folder})


def done(settings: Settings, what: Callable[..., OperatingPoint], id_: str = "op_1") -> None:
    """Do something to a point that is there."""
    with opened(settings) as store, store.begin() as connection:
        versions: Versions | None = find_point(connection, id_)
        assert versions is not None
        what(connection, versions, Done(time.time(), "cli:tests", "a test"))


def set_point(settings: Settings, **changes: Any) -> None:  # noqa: ANN401
    """Propose and promote a point."""
    point = replace(POINT, **changes)
    with opened(settings) as store, store.begin() as connection:
        propose(connection, point, Done(time.time(), "cli:tests", "a test"))
    done(settings, promote, point.id)


def crossings(gateway: RunningGateway) -> list[Crossing]:
    """Return what prompts crossed, as it was recorded."""
    events = [to_event(received.record) for received in gateway._received()]
    screenings = [event.screening for event in events if isinstance(event, Opened)]
    return [it for screening in screenings if screening for it in screening.crossed]


async def soon(is_so: Callable[[], Awaitable[bool]], within_s: float = WITHIN_S) -> None:
    """Ask again and again until it is so."""
    async with asyncio.timeout(within_s):
        while not await is_so():  # noqa: ASYNC110  what is awaited has no event to offer
            await asyncio.sleep(0.02)  # the thread that reads the store needs this process too


async def all_answer(
    gateways: list[RunningGateway], status: int, within_s: float = WITHIN_S
) -> None:
    """Wait until every gateway answers the phrase with a status."""

    async def is_so() -> bool:
        replies = [await gateway.post(CHAT, chat(PHRASE)) for gateway in gateways]
        return {reply.status for reply in replies} == {status}

    await soon(is_so, within_s)


@on_uvloop
async def test_a_point_blocks_at_all_gateways_soon_after_it_was_promoted_until_it_is_rolled_back(
    tmp_path: Path,
) -> None:
    async with gateways(tmp_path, 2) as both:
        settings = both[0].settings
        await all_answer(both, 200)
        set_point(settings)
        await all_answer(both, 400)
        assert [(await it.post(CHAT, chat("Hello"))).status for it in both] == [200, 200]
        done(settings, roll_back)
        await all_answer(both, 200)


@on_uvloop
async def test_a_block_is_recorded_with_the_points_id_and_version(tmp_path: Path) -> None:
    async with gateways(tmp_path) as (gateway,):
        set_point(gateway.settings, threshold=0.9)
        set_point(gateway.settings, threshold=0.8)

        async def is_crossed_by_the_second() -> bool:
            await all_answer([gateway], 400)  # by the first until the second is known
            return any(it.version == 2 for it in crossings(gateway))

        await soon(is_crossed_by_the_second)
        assert gateway.metric("operating_points", source="store", state="active") == 1
        crossing = crossings(gateway)[-1]
        assert (crossing.point, crossing.version, crossing.threshold) == ("op_1", 2, 0.8)


@on_uvloop
async def test_a_point_on_answers_cuts_them_off_and_a_retired_one_does_not(tmp_path: Path) -> None:
    async with gateways(tmp_path) as (gateway,):

        async def is_cut_off() -> bool:
            reply = await gateway.post(CHAT, chat("Hello"))
            return bool(reply.json["choices"][0]["finish_reason"] == "content_filter")

        async def is_whole() -> bool:
            return not await is_cut_off()

        assert await is_whole()
        set_point(gateway.settings, part=Part.ANSWER)
        await soon(is_cut_off)
        done(gateway.settings, retire)
        await soon(is_whole)


@on_uvloop
async def test_a_point_that_expires_applies_no_more_though_nobody_touches_the_store(
    tmp_path: Path,
) -> None:
    async with gateways(tmp_path) as (gateway,):
        set_point(gateway.settings, expires_at=time.time() + 2)
        await all_answer([gateway], 400)
        await all_answer([gateway], 200, within_s=2 + WITHIN_S)
        assert gateway.metric("operating_points", source="store", state="expired") == 1


@on_uvloop
async def test_a_point_is_for_its_project_and_its_surface_alone(tmp_path: Path) -> None:
    async with gateways(tmp_path) as (gateway,):
        set_point(gateway.settings, id="op_other", scope=PointScope(project="another"))
        set_point(gateway.settings, scope=PointScope(project="project", surface="completions"))
        completion = {"model": MODEL, "prompt": PHRASE}

        async def is_blocked() -> bool:
            return (await gateway.post(COMPLETIONS, completion)).status == 400

        await soon(is_blocked)
        assert (await gateway.post(CHAT, chat(PHRASE))).status == 200
        set_point(gateway.settings, id="op_all", scope=PointScope(tier=1))
        await all_answer([gateway], 400)
        assert await is_blocked()


@on_uvloop
async def test_a_point_that_this_gateway_cannot_block_by_is_counted_and_the_rest_apply(
    tmp_path: Path,
) -> None:
    async with gateways(tmp_path) as (gateway,):
        for id_, detector in (("op_slow", "slow"), ("op_gone", "gone")):
            set_point(gateway.settings, id=id_, detector=detector)
        set_point(gateway.settings, id="op_bio", category=Category.BIO)
        set_point(gateway.settings)
        await all_answer([gateway], 400)
        assert (await gateway.post(CHAT, chat("Hello"))).status == 200
        assert gateway.metric("operating_points", source="store", state="ignored") == 3
        assert gateway.metric("operating_points", source="store", state="active") == 1


@on_uvloop
async def test_a_block_on_answers_that_are_only_observed_is_counted_as_ignored(
    tmp_path: Path,
) -> None:
    def observe(written: dict[str, Any]) -> None:
        each_second(written)
        written["models"].append({**written["models"][0], "name": "seen", "tier": 0})

    async with gateways(tmp_path, change=observe) as (gateway,):
        for id_, models in (("op_held", {MODEL}), ("op_seen", {"seen"}), ("op_both", set())):
            scope = PointScope(models=frozenset(models))
            set_point(gateway.settings, id=id_, part=Part.ANSWER, scope=scope)
        of_store = {"source": "store", "state": "ignored"}
        await eventually(lambda: gateway.metric("operating_points", **of_store) == 2)
        reply = await gateway.post(CHAT, chat("Hello"))
        assert reply.json["choices"][0]["finish_reason"] == "content_filter"


@on_uvloop
async def test_a_gateway_that_starts_while_its_store_is_away_blocks_by_the_points_of_its_copy(
    tmp_path: Path,
) -> None:
    async with gateways(tmp_path) as (gateway,):
        set_point(gateway.settings)
        await all_answer([gateway], 400)
        copy = gateway.settings.data_dir / "store-copy" / "gateway-0"
        await eventually(lambda: copy.exists() and b"op_1" in copy.read_bytes())
        settings, upstream = gateway.settings, gateway.upstream
    (tmp_path / "watchgate.db").rename(tmp_path / "away.db")
    async with running(settings, upstream, DETECTORS) as again:
        assert (await again.post(CHAT, chat(PHRASE))).status == 400


@on_uvloop
async def test_points_that_change_nothing_for_a_model_leave_it_the_same_object(
    tmp_path: Path,
) -> None:
    async with gateways(tmp_path) as (gateway,):
        before = gateway.pipeline.models[MODEL]
        set_point(gateway.settings, id="op_page", action="page")
        set_point(gateway.settings, id="op_tier", scope=PointScope(tier=2))
        await eventually(
            lambda: gateway.metric("operating_points", source="store", state="active") == 2
        )
        assert gateway.pipeline.models[MODEL] is before
