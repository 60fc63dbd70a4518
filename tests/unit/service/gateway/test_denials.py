"""Refusals on their way into a real journal."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry

from service.core.callers import Caller
from service.events.audit import Denied, to_event
from service.events.journal import Journal, Limits, read_topic
from service.events.log import Durability, Record, Topic
from service.gateway.denials import AGAIN_S, MAX_KINDS, OVERFLOW, Denials
from service.gateway.evidence import Evidence
from service.gateway.meters import Meters
from service.telemetry.metrics import Metrics
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import eventually

NOW = 1_000_000.0
ANN = Caller("key_ann", "acme", "acme/ann")
BOB = Caller("key_bob", "acme", "acme")
FILLER = Record(Topic.EXCHANGES, b"p", "opened", "ex-1", b"x" * 100_000)


class Desk:
    """Denials of a gateway, and what of them is in its journal."""

    def __init__(self, root: Path, evidence: Evidence) -> None:
        self._root = root
        self.evidence = evidence
        self.overflows = 0
        self.denials = Denials(evidence, "boot", self._count)

    def _count(self) -> None:
        self.overflows += 1

    def note(self, caller: Caller = ANN, *reasons: str, model: str = "m", now: float = NOW) -> None:
        self.denials.note(caller, model, "chat", reasons or ("model_not_allowed",), now)

    async def told(self) -> list[Denied]:
        """Wait until all that was appended is kept; return the events in the journal."""
        await eventually(lambda: self.evidence.undecided == 0)
        events = [to_event(one.record) for one in read_topic(self._root, Topic.AUDIT)]
        return [event for event in events if isinstance(event, Denied)]


@asynccontextmanager
async def desk_in(folder: Path, **limits: int) -> AsyncIterator[Desk]:
    meters = Meters(Metrics(CollectorRegistry()))
    evidence = Evidence(asyncio.get_running_loop(), meters.appends)
    bounds = Limits(**{"reserve_bytes": 2**20, **limits})
    journal = Journal(folder / "gateway-0", limits=bounds, announce=evidence.announce)
    evidence.attach(journal)
    try:
        yield Desk(folder, evidence)
    finally:
        journal.close()


@on_uvloop
async def test_a_refusal_is_told_with_the_next_flush(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.note(ANN, "model_not_allowed", "address_not_allowed")
        assert await desk.told() == []
        desk.denials.flush(NOW + 1)
        assert await desk.told() == [
            Denied(
                id="dn-boot-1",
                at=NOW + 1,
                key="key_ann",
                project="acme",
                account="acme/ann",
                model="m",
                surface="chat",
                reasons=("address_not_allowed", "model_not_allowed"),
                count=1,
                first_at=NOW,
                last_at=NOW,
            )
        ]


@on_uvloop
async def test_what_is_alike_is_told_together_and_again_after_a_minute(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        for second in range(120):
            for _ in range(10):
                desk.note(now=NOW + second)
            desk.denials.flush(NOW + second)
        told = await desk.told()
        assert [it.count for it in told] == [10, 600]
        assert (told[1].first_at, told[1].last_at) == (NOW + 1, NOW + AGAIN_S)
        assert len({it.id for it in told}) == 2


@on_uvloop
async def test_what_is_not_alike_is_told_apart(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.note(ANN)
        desk.note(BOB)
        desk.note(ANN, model="other")
        desk.note(ANN, "surface_not_allowed")
        desk.note(ANN, "model_not_allowed", "model_not_allowed")
        desk.denials.flush(NOW)
        assert [it.count for it in await desk.told()] == [2, 1, 1, 1]


@on_uvloop
async def test_in_the_end_everything_is_told(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.note()
        desk.denials.flush(NOW)
        desk.note(now=NOW + 1)
        desk.denials.flush(NOW + 2)
        desk.denials.flush(NOW + 2, everything=True)
        assert [it.count for it in await desk.told()] == [1, 1]


@on_uvloop
async def test_a_journal_without_room_gets_them_later_and_none_is_lost(tmp_path: Path) -> None:
    async with desk_in(tmp_path, max_queue_bytes=100_200) as desk:
        desk.note()
        desk.evidence.append(FILLER, Durability.WRITTEN, ends=True)
        desk.denials.flush(NOW)  # the queue is full in this round of the loop
        assert await desk.told() == []
        desk.note(now=NOW + 1)
        await eventually(lambda: desk.evidence.journal._queue.queued_bytes == 0)
        desk.denials.flush(NOW + 1)
        assert [(it.count, it.first_at) for it in await desk.told()] == [(2, NOW)]


@on_uvloop
async def test_what_the_journal_could_not_keep_is_counted_again(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.note()
        desk.note(now=NOW + 1)
        desk.denials.flush(NOW + 1)
        desk.evidence.journal.close()  # before the round of the loop has ended
        await eventually(lambda: desk.evidence.undecided == 0)
        (tally,) = desk.denials._tallies.values()
        assert (tally.count, tally.first_at, tally.last_at) == (2, NOW, NOW + 1)
        desk.denials.flush(NOW + 2)  # and nobody fails of it
        await eventually(lambda: desk.evidence.undecided == 0)
        assert tally.count == 2


@on_uvloop
async def test_too_many_kinds_are_told_by_their_keys_and_memory_is_bounded(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        for number in range(MAX_KINDS + 10):
            desk.note(ANN, model=f"model-{number}")
        desk.note(BOB)
        assert desk.overflows == 11
        desk.denials.flush(NOW, everything=True)
        told = await desk.told()
        assert sum(it.count for it in told) == MAX_KINDS + 11
        spilt = [(it.key, it.count, it.model) for it in told if it.reasons == (OVERFLOW,)]
        assert spilt == [("key_ann", 10, "other"), ("key_bob", 1, "other")]

        for number in range(5 * MAX_KINDS):
            desk.note(Caller(f"key_{number}", "acme", "acme"), now=NOW + 1)
        assert len(desk.denials._tallies) == 2 * MAX_KINDS + 1
        desk.denials.flush(NOW + 1, everything=True)
        assert sum(it.count for it in await desk.told()) == 6 * MAX_KINDS + 11


@on_uvloop
async def test_a_flush_is_short_and_the_rest_follows(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        for number in range(250):
            desk.note(model=f"model-{number}")
        for count in (100, 200, 250, 250):
            desk.denials.flush(NOW)
            assert len(await desk.told()) == count


@on_uvloop
async def test_what_is_quiet_for_a_minute_is_forgotten(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.note()
        desk.denials.flush(NOW)
        desk.denials.flush(NOW + AGAIN_S - 1)
        assert len(desk.denials._tallies) == 1
        desk.denials.flush(NOW + AGAIN_S)
        assert desk.denials._tallies == {}
