"""What happens when the upstream, the caller or the gateway itself does not do its part."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from service.errors import JournalBroken, JournalFull
from service.events.schema import Closed, Outcome
from tests.real_parts.gateway import (
    CHAT,
    DONE,
    MODEL,
    STREAM_END,
    STREAM_HEAD,
    UPSTREAM_MODEL,
    Connection,
    Gate,
    RunningGateway,
    answer_of,
    chat,
    chat_body,
    chat_event,
    event,
    framed,
    gateway_before,
    rendered,
    screener_beats,
    streaming,
)
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import Peer, Script, answering, eventually

FIRST = chat_event("Hi")
RELAYED = chat_event("Hi", MODEL)
NOT_AN_EVENT = b"\xef\xbb\xbfdata: {}\n\n"


async def closes_at_once(peer: Peer) -> None:
    await peer.request()


async def never_answers(peer: Peer) -> None:
    await peer.request()
    await peer.stall()


async def outcome_of(gateway: RunningGateway) -> Outcome:
    exchange = await gateway.exchange()
    await eventually(lambda: gateway.metric("in_flight_requests") == 0)
    return exchange.closed.outcome


def impatient(written: dict[str, Any]) -> None:
    written["upstreams"][0]["read_timeout_s"] = 0.2


@pytest.mark.parametrize("status", [400, 413, 422, 429])
@on_uvloop
async def test_a_refusal_by_which_the_upstream_speaks_to_the_caller_is_relayed(
    tmp_path: Path, status: int
) -> None:
    refusal = {"error": {"message": "The prompt is too long.", "code": status}}
    answer = answer_of(refusal, status, {"retry-after": "3", "server": "uvicorn"})
    async with gateway_before(answering(answer), folder=tmp_path) as gateway:
        reply = await gateway.post(CHAT, chat(stream=True))
        assert (reply.status, reply.json) == (status, refusal)
        assert reply.headers["retry-after"] == "3"
        assert "server" not in reply.headers
        exchange = await gateway.exchange()
        assert exchange.closed.outcome == "refused_by_upstream"
        assert (exchange.closed.status, exchange.closed.upstream_status) == (status, None)
        assert gateway.outcomes() == {"refused_by_upstream": 1}


@pytest.mark.parametrize("status", [204, 301, 401, 403, 404, 500, 503])
@on_uvloop
async def test_a_refusal_that_speaks_of_our_own_set_up_is_not_shown(
    tmp_path: Path, status: int
) -> None:
    answer = b"HTTP/1.1 204 X\r\n\r\n" if status == 204 else answer_of({"secret": 1}, status)
    async with gateway_before(answering(answer), folder=tmp_path) as gateway:
        reply = await gateway.post(CHAT, chat())
        assert (reply.status, reply.code) == (502, "upstream_unavailable")
        assert b"secret" not in reply.body
        exchange = await gateway.exchange()
        assert exchange.closed.outcome == "upstream_unavailable"
        assert (exchange.closed.status, exchange.closed.upstream_status) == (502, status)
        assert exchange.closed.served_number == 0
        assert gateway.outcomes() == {"upstream_unavailable": 1}


@pytest.mark.parametrize(
    ("script", "status", "code", "outcome"),
    [
        (closes_at_once, 502, "upstream_unavailable", "upstream_unavailable"),
        (never_answers, 504, "upstream_timeout", "upstream_timeout"),
        (answering(b"no http at all\r\n\r\n"), 502, "upstream_unavailable", "upstream_broke"),
        (answering(answer_of(b"{")), 502, "upstream_unavailable", "upstream_broke"),
        (answering(answer_of({"choices": 1})), 502, "upstream_unavailable", "upstream_broke"),
        (answering(answer_of({"error": {}})), 502, "upstream_unavailable", "upstream_broke"),
        (streaming(b""), 502, "upstream_unavailable", "upstream_broke"),
        (streaming(event({"error": {}}), DONE), 502, "upstream_unavailable", "upstream_broke"),
        (streaming(NOT_AN_EVENT, DONE), 502, "upstream_unavailable", "upstream_broke"),
    ],
)
@on_uvloop
async def test_an_upstream_that_fails_before_the_first_byte_is_told_by_the_status(
    tmp_path: Path, script: Script, status: int, code: str, outcome: Outcome
) -> None:
    async with gateway_before(script, folder=tmp_path, change=impatient) as gateway:
        reply = await gateway.post(CHAT, chat(stream=True))
        assert (reply.status, reply.code) == (status, code)
        assert await outcome_of(gateway) == outcome
        assert (await gateway.exchange()).closed.status == status
        assert gateway.outcomes() == {outcome: 1}
        assert gateway.metric("exchanges_served_total") == 0


async def cut(peer: Peer) -> None:
    await peer.request()
    await peer.send(STREAM_HEAD + framed(FIRST))


async def falls_silent(peer: Peer) -> None:
    await cut(peer)
    await peer.stall()


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        (cut, "upstream_broke"),
        (falls_silent, "upstream_timeout"),
        (streaming(FIRST), "upstream_broke"),
        (streaming(FIRST, b"data: [DONE]"), "upstream_broke"),
        (streaming(FIRST, event({"error": {"message": "secret"}}), DONE), "upstream_broke"),
        (streaming(FIRST, b"data: {secret\n\n", DONE), "upstream_broke"),
        (streaming(FIRST, NOT_AN_EVENT, DONE), "upstream_broke"),
    ],
)
@on_uvloop
async def test_an_upstream_that_breaks_in_mid_stream_is_told_by_an_event_and_no_end(
    tmp_path: Path, script: Script, outcome: Outcome
) -> None:
    async with gateway_before(script, folder=tmp_path, change=impatient) as gateway:
        reply = await gateway.post(CHAT, chat(stream=True))
        assert reply.status == 200
        told = reply.body.removeprefix(RELAYED)
        assert len(told) < len(reply.body)
        error = json.loads(told.removeprefix(b"data: "))["error"]
        assert error["code"] in {"upstream_unavailable", "upstream_timeout"}
        assert b"[DONE]" not in reply.body
        assert b"secret" not in reply.body
        exchange = await gateway.exchange()
        assert exchange.closed.outcome == outcome
        assert exchange.closed.served_number == 1
        assert exchange.answer.choices[0].text == "Hi"
        assert gateway.outcomes() == {outcome: 1}
        await eventually(lambda: gateway.metric("exchanges_recorded_total") == 1)


@on_uvloop
async def test_an_answer_over_the_limit_is_cut(tmp_path: Path) -> None:
    def small(written: dict[str, Any]) -> None:
        written["gateway"]["max_answer_bytes"] = 1000

    scripts = [answering(answer_of(chat_body("x" * 1000))), streaming(FIRST, FIRST * 9, DONE)]
    for number, script in enumerate(scripts):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with gateway_before(script, folder=folder, change=small) as gateway:
            reply = await gateway.post(CHAT, chat(stream=True))
            assert b"upstream_unavailable" in reply.body
            assert await outcome_of(gateway) == "upstream_broke"


@on_uvloop
async def test_an_event_of_megabytes_in_small_pieces_takes_time_in_proportion(
    tmp_path: Path,
) -> None:
    huge = chat_event("x" * 8_000_000)

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(STREAM_HEAD)
        for start in range(0, len(huge), 4096):
            await peer.send(framed(huge[start : start + 4096]))
        await peer.send(framed(DONE) + STREAM_END)

    async with gateway_before(script, folder=tmp_path) as gateway:
        async with asyncio.timeout(20):
            reply = await gateway.post(CHAT, chat(stream=True))
        assert len(reply.body) == len(huge) + len(MODEL) - len(UPSTREAM_MODEL) + len(DONE)


@pytest.mark.parametrize("in_mid_stream", [False, True])
@on_uvloop
async def test_when_the_caller_hangs_up_the_upstream_is_let_go_within_a_second(
    tmp_path: Path, *, in_mid_stream: bool
) -> None:
    script = falls_silent if in_mid_stream else never_answers
    async with gateway_before(script, folder=tmp_path) as gateway:
        connection = await gateway.begin(CHAT, chat(stream=True))
        if in_mid_stream:
            await connection.head()
            await connection.part()
        await eventually(lambda: bool(gateway.upstream.requests))
        connection.close()
        await eventually(lambda: gateway.upstream.finished == 1, deadline_s=1)
        exchange = await gateway.exchange()
        assert exchange.closed.outcome == "client_gone"
        assert exchange.closed.served_number == int(in_mid_stream)
        assert gateway.outcomes() == {"client_gone": 1}


@on_uvloop
async def test_a_caller_who_hangs_up_while_it_sends_leaves_no_exchange(tmp_path: Path) -> None:
    async with gateway_before(never_answers, folder=tmp_path) as gateway:
        connection = await gateway.begin(CHAT, b"{", headers=[("content-length", "9")])
        await eventually(lambda: gateway.pipeline.meters.in_flight == 1)
        connection.close()
        await eventually(lambda: gateway.pipeline.meters.in_flight == 0)
        assert gateway.outcomes() == {"client_gone": 1}
        assert gateway.kinds() == []


@on_uvloop
async def test_a_caller_who_hangs_up_before_opened_is_recorded_leaves_both_records(
    tmp_path: Path,
) -> None:
    async with gateway_before(answering(answer_of(chat_body())), folder=tmp_path) as gateway:
        gate = Gate(gateway)
        connection = await gateway.begin(CHAT, chat())
        await gate.holds("opened")
        connection.close()
        await gate.holds("opened", "closed")
        gate.let_in()
        assert await outcome_of(gateway) == "client_gone"


@on_uvloop
async def test_a_caller_who_hangs_up_while_closed_is_recorded_changes_nothing(
    tmp_path: Path,
) -> None:
    async with gateway_before(answering(answer_of(chat_body())), folder=tmp_path) as gateway:
        gate = Gate(gateway)
        connection = await gateway.begin(CHAT, chat())
        await gate.holds("opened")
        gate.let_in()
        await gate.holds("closed")
        connection.close()
        await asyncio.sleep(0.05)
        gate.let_in()
        assert await outcome_of(gateway) == "completed"
        assert gateway.metric("exchanges_served_total") == 1
        assert gateway.metric("exchanges_recorded_total") == 1


@on_uvloop
async def test_a_caller_who_does_not_read_holds_back_the_upstream(tmp_path: Path) -> None:
    big = framed(chat_event("x" * 100_000))
    peers: list[Peer] = []

    async def script(peer: Peer) -> None:
        peers.append(peer)
        await peer.request()
        await peer.send(STREAM_HEAD)
        for _ in range(300):
            await peer.send(big)
        await peer.send(framed(DONE) + STREAM_END)

    async with gateway_before(script, folder=tmp_path) as gateway:
        connection = await gateway.begin(CHAT, chat(stream=True))
        connection._reader._transport.pause_reading()  # type: ignore[attr-defined]
        await eventually(lambda: bool(peers) and peers[0].unsent_bytes > 0)
        connection._reader._transport.resume_reading()  # type: ignore[attr-defined]
        await connection.head()
        received = 0
        while part := await connection.part():
            received += len(part)
        assert received > 30_000_000
        assert await outcome_of(gateway) == "completed"


@on_uvloop
async def test_a_caller_who_stops_reading_is_let_go_and_so_is_the_upstream(tmp_path: Path) -> None:
    def strict(written: dict[str, Any]) -> None:
        written["gateway"]["stall_timeout_s"] = 0.2

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(STREAM_HEAD)
        while True:
            await peer.send(framed(chat_event("x" * 100_000)))

    async with gateway_before(script, folder=tmp_path, change=strict) as gateway:
        connection = await gateway.begin(CHAT, chat(stream=True))
        connection._reader._transport.pause_reading()  # type: ignore[attr-defined]
        await eventually(lambda: gateway.upstream.finished == 1)
        assert await outcome_of(gateway) == "client_gone"


async def stop(gateway: RunningGateway) -> None:
    gateway.server.should_exit = True
    await eventually(lambda: not gateway.server.servers[0].is_serving())


@on_uvloop
async def test_a_stream_that_runs_when_the_gateway_stops_may_finish(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await cut(peer)
        await go_on.wait()
        await peer.send(framed(DONE) + STREAM_END)

    async with gateway_before(script, folder=tmp_path) as gateway:
        connection = await gateway.begin(CHAT, chat(stream=True))
        await connection.head()
        await connection.part()
        await stop(gateway)
        go_on.set()
        assert await connection.part() == DONE
        assert await outcome_of(gateway) == "completed"


async def rest_of(connection: Connection) -> bytes:
    parts = []
    while part := await connection.part():
        parts.append(part)
    return b"".join(parts)


@on_uvloop
async def test_what_still_runs_when_the_drain_is_over_is_cut_told_and_recorded(
    tmp_path: Path,
) -> None:
    async with gateway_before(falls_silent, never_answers, folder=tmp_path) as gateway:
        stream = await gateway.begin(CHAT, chat(stream=True))
        await stream.head()
        await stream.part()
        whole = await gateway.begin(CHAT, chat())
        body = await gateway.begin(CHAT, b"{", headers=[("content-length", "9")])
        await eventually(lambda: gateway.pipeline.meters.in_flight == 3)
        await eventually(lambda: len(gateway.upstream.requests) == 2)
        await stop(gateway)
        told = await rest_of(stream)
        assert b'"code":"interrupted"' in told
        assert b"[DONE]" not in told
        for connection in (whole, body):
            reply = await connection.reply()
            assert (reply.status, reply.code) == (503, "interrupted")
            assert reply.headers["retry-after"] == "1"
        events = await gateway.events(4)
        outcomes = [closed.outcome for closed, _ in events if isinstance(closed, Closed)]
        assert outcomes == ["interrupted"] * 2
        assert gateway.outcomes() == {"interrupted": 3}


def about_evidence(body: bytes) -> bool:
    return b"'evidence' is not active" in body and b'"code":"safeguard_inactive"' in body


@pytest.mark.parametrize("error", [JournalFull("no room"), JournalBroken("a fault")])
@on_uvloop
async def test_without_a_record_of_its_opening_an_exchange_is_refused_and_the_upstream_let_go(
    tmp_path: Path, error: JournalFull | JournalBroken
) -> None:
    async with gateway_before(never_answers, folder=tmp_path) as gateway:
        Gate(gateway).refuse("opened", error)
        reply = await gateway.post(CHAT, chat())
        assert reply.status == 503
        assert about_evidence(reply.body)
        assert "retry-after" in reply.headers
        await eventually(lambda: gateway.upstream.finished == gateway.upstream.connections)
        assert gateway.kinds() == []
        assert gateway.outcomes() == {"safeguard_inactive": 1}


@on_uvloop
async def test_when_closed_cannot_be_recorded_the_last_bytes_are_not_released(
    tmp_path: Path,
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer_of(chat_body()))
        await streaming(FIRST, DONE)(peer)

    async with gateway_before(script, folder=tmp_path) as gateway:
        gate = Gate(gateway)
        letting_in = asyncio.create_task(gate.stay_open())
        gate.refuse("closed", JournalFull("no room"))
        reply = await gateway.post(CHAT, chat())
        assert reply.status == 503
        assert about_evidence(reply.body)
        assert gateway.metric("exchanges_served_total") == 0
        reply = await gateway.post(CHAT, chat(stream=True))
        assert reply.body.startswith(RELAYED)
        assert about_evidence(reply.body)
        assert b"[DONE]" not in reply.body
        assert gateway.metric("exchanges_served_total") == 1
        assert gateway.metric("exchanges_recorded_total") == 0
        assert gateway.outcomes() == {"safeguard_inactive": 2}
        # the number of what was not released went to the next, so that the hole is one answer
        assert gateway.pipeline.ids.next_served() == 2
        gate.refuse_nothing()
        await eventually(lambda: gateway.metric("exchanges_recorded_total") == 1)
        letting_in.cancel()
        ends = [(it.outcome, it.served_number, it.status) for it in gateway.closed()]
        assert ends == [("interrupted", 0, None), ("interrupted", 1, 200)]
        assert gateway.metric("exchanges_served_total") == 1


@on_uvloop
async def test_over_the_journals_size_limit_the_upstream_is_not_even_called(
    tmp_path: Path,
) -> None:
    def tiny(written: dict[str, Any]) -> None:
        written["journal"] = {"max_bytes": 2**22, "reserve_bytes": 2**20, "segment_bytes": 2**20}

    async with gateway_before(
        answering(answer_of(chat_body())), folder=tmp_path, change=tiny
    ) as gateway:
        replies = [await gateway.post(CHAT, chat("x" * 300_000)) for _ in range(12)]
        served = [reply for reply in replies if reply.status == 200]
        refused = replies[len(served) :]
        assert served
        assert refused
        assert all(reply.status == 503 for reply in refused)
        assert all(b"evidence" in reply.body for reply in refused)
        assert len(gateway.upstream.requests) == len(served)


@on_uvloop
async def test_with_a_broken_journal_nothing_is_served(tmp_path: Path) -> None:
    async with gateway_before(answering(answer_of(chat_body())), folder=tmp_path) as gateway:
        gateway.parts.journal._fault.set("a fault")
        reply = await gateway.post(CHAT, chat())
        assert (reply.status, reply.code) == (503, "safeguard_inactive")
        assert b"evidence" in reply.body
        assert not gateway.upstream.requests
        assert "journal" in [reason.code for reason in gateway.parts.reasons()]


@on_uvloop
async def test_without_a_screener_tier_1_is_refused_and_tier_0_is_served(tmp_path: Path) -> None:
    def with_open_model(written: dict[str, Any]) -> None:
        open_model = {**written["models"][0], "name": "open", "tier": 0}
        written["models"].append(open_model)

    async with gateway_before(
        answering(answer_of(chat_body())), folder=tmp_path, tier=1, change=with_open_model
    ) as gateway:
        reply = await gateway.post(CHAT, chat())
        assert (reply.status, reply.code) == (503, "safeguard_inactive")
        assert "prompt_screen" in reply.json["error"]["message"]
        assert reply.headers["retry-after"] == "5"
        assert (await gateway.post(CHAT, {**chat(), "model": "open"})).status == 200
        assert gateway.parts.reasons() == []
        assert gateway.metric("safeguard_active", model=MODEL, safeguard="prompt_screen") == 0
        screener_beats(gateway.settings)
        await eventually(lambda: not gateway.parts.board.reasons())
        assert (await gateway.post(CHAT, chat())).status == 200
        assert gateway.metric("safeguard_active", model=MODEL, safeguard="prompt_screen") == 1


@on_uvloop
async def test_a_gateway_that_serves_no_model_says_why_it_is_not_ready(tmp_path: Path) -> None:
    async with gateway_before(never_answers, folder=tmp_path, tier=1) as gateway:
        (reason,) = gateway.parts.reasons()
        assert (reason.code, reason.model) == ("safeguard_inactive", MODEL)
        assert "screener" in reason.message


@on_uvloop
async def test_thousands_of_requests_and_vanishing_callers_leave_nothing_behind(
    tmp_path: Path,
) -> None:
    async def script(peer: Peer) -> None:
        while True:
            request = await peer.request()
            if b"vanish" in request:
                await peer.stall()
                return
            await peer.send(answer_of(chat_body()))

    async with gateway_before(script, folder=tmp_path) as gateway:

        async def caller(number: int) -> None:
            connection = await gateway.connect()
            for turn in range(50):
                if turn % 20 == 19:
                    await connection.send(rendered(CHAT, chat("vanish")))
                    await asyncio.sleep(0.01)
                    connection.close()
                    connection = await gateway.connect()
                await connection.send(rendered(CHAT, chat(f"{number} {turn}")))
                assert (await connection.reply()).status == 200
            connection.close()

        async def batch(count: int) -> tuple[int, int, int]:
            await asyncio.gather(*[caller(number) for number in range(count)])
            gateway.open_connections.clear()
            await eventually(lambda: gateway.pipeline.meters.in_flight == 0)
            await eventually(lambda: gateway.evidence.undecided == 0)
            await eventually(lambda: not gateway.server.server_state.connections)
            await eventually(lambda: gateway.parts.journal.open_exchanges() == [])
            tallies = len(gateway.pipeline.meters._tallies._flushes)
            return len(asyncio.all_tasks()), tallies, len(gateway.server.server_state.tasks)

        before = await batch(8)
        after = await batch(32)
        assert after[1:] == before[1:]
        assert after[0] <= before[0] + 40  # the scripted upstream's idle connections, a task each
        served = gateway.metric("exchanges_served_total")
        assert served == gateway.metric("exchanges_recorded_total") == 2000
        assert gateway.outcomes() == {"completed": 2000, "client_gone": 80}
