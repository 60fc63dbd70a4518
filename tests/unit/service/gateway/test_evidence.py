"""Appending to a real journal from the event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from service.errors import EventLogError, JournalBroken, JournalFull
from service.events.journal import Journal, Limits
from service.events.log import Durability, Record, Topic
from service.gateway.evidence import Evidence
from service.gateway.meters import Meters
from service.telemetry.metrics import Metrics
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import eventually

RECORD = Record(Topic.EXCHANGES, b"p", "opened", "ex-1", b"{}")
WRITTEN = Durability.WRITTEN


@asynccontextmanager
async def evidence_in(folder: Path, **limits: int) -> AsyncIterator[Evidence]:
    meters = Meters(Metrics(CollectorRegistry()))
    evidence = Evidence(asyncio.get_running_loop(), meters.appends)
    bounds = Limits(**{"reserve_bytes": 2**20, **limits})
    journal = Journal(folder / "gateway-0", limits=bounds, announce=evidence.announce)
    evidence.attach(journal)
    try:
        yield evidence
    finally:
        journal.close()


@on_uvloop
async def test_a_record_is_kept_when_its_future_is_done(tmp_path: Path) -> None:
    async with evidence_in(tmp_path) as evidence:
        for level in Durability:
            position = await evidence.append(RECORD, level, ends=False)
            journal = evidence.journal
            mark = journal.synced if level is Durability.SYNCED else journal.written
            assert mark >= position.offset


@on_uvloop
async def test_records_of_one_round_stay_in_order(tmp_path: Path) -> None:
    async with evidence_in(tmp_path) as evidence:
        futures = [evidence.append(RECORD, WRITTEN, ends=False) for _ in range(50)]
        offsets = [position.offset for position in await asyncio.gather(*futures)]
        assert offsets == sorted(offsets)
        assert len(set(offsets)) == 50


@on_uvloop
async def test_the_fate_of_a_record_is_told_also_to_one_who_no_longer_waits(
    tmp_path: Path,
) -> None:
    fates: list[EventLogError | None] = []
    async with evidence_in(tmp_path) as evidence:
        future = evidence.append(RECORD, WRITTEN, ends=True, on_decided=fates.append)
        future.cancel()
        await eventually(lambda: fates == [None])
        assert evidence.undecided == 0


@on_uvloop
async def test_a_full_queue_refuses_what_begins_and_takes_what_ends(tmp_path: Path) -> None:
    async with evidence_in(tmp_path, max_queue_bytes=100) as evidence:
        with pytest.raises(JournalFull):
            evidence.append(RECORD, WRITTEN, ends=False)
        await evidence.append(RECORD, WRITTEN, ends=True)


@on_uvloop
async def test_the_room_in_a_queue_is_counted_also_within_one_round(tmp_path: Path) -> None:
    async with evidence_in(tmp_path, max_queue_bytes=3 * RECORD.size_bytes) as evidence:
        kept = [evidence.append(RECORD, WRITTEN, ends=False) for _ in range(3)]
        with pytest.raises(JournalFull):
            evidence.append(RECORD, WRITTEN, ends=False)
        await asyncio.gather(*kept)
        await eventually(lambda: evidence.journal._queue.queued_bytes == 0)
        await evidence.append(RECORD, WRITTEN, ends=False)


@on_uvloop
async def test_a_broken_journal_fails_every_future_and_leaves_nobody_waiting(
    tmp_path: Path,
) -> None:
    fates: list[EventLogError | None] = []
    async with evidence_in(tmp_path) as evidence:
        evidence.journal.close()
        future = evidence.append(RECORD, WRITTEN, ends=True, on_decided=fates.append)
        with pytest.raises(JournalBroken):
            await future
        assert isinstance(fates[0], JournalBroken)
        assert evidence.undecided == 0


@on_uvloop
async def test_draining_waits_for_what_is_undecided_but_not_for_ever(tmp_path: Path) -> None:
    async with evidence_in(tmp_path) as evidence:
        future = evidence.append(RECORD, Durability.SYNCED, ends=True)
        await evidence.drain(10)
        assert future.done()
        evidence.undecided += 1  # one that the journal never decides
        await evidence.drain(0.01)


@on_uvloop
async def test_an_announcement_after_the_loops_end_is_nobodys_error(tmp_path: Path) -> None:
    async with evidence_in(tmp_path) as evidence:
        kept = evidence
    other = asyncio.new_event_loop()
    other.close()
    kept._loop = other
    kept.announce([])


@on_uvloop
async def test_what_is_owed_is_written_once_there_is_room_but_for_what_is_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.gateway.evidence._OWED_BYTES", 2 * RECORD.size_bytes)
    monkeypatch.setattr("service.gateway.evidence._RETRY_S", 0.02)
    fates: list[EventLogError | None] = []
    async with evidence_in(tmp_path) as evidence:
        journal, has_room = evidence.journal, False
        monkeypatch.setattr(journal, "has_room", lambda: has_room)
        for _ in range(3):
            evidence.owe(RECORD, WRITTEN, fates.append)
        await asyncio.sleep(0.1)
        assert (fates, journal.written) == ([], 0)
        has_room = True
        await eventually(lambda: fates == [None] * 2)
        assert journal.written == 2
        evidence.owe(RECORD, WRITTEN, fates.append)
        await eventually(lambda: fates == [None] * 3)
