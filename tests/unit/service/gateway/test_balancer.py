"""Sending to replicas that answer, fail, stall and come back, from scripts."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry

from service.core.balancing import EjectionPolicy, Fault
from service.errors import UpstreamError, UpstreamUnavailable
from service.gateway.balancer import Balancer, BalancingPolicy, Replica
from service.gateway.http_answer import Answer
from service.gateway.meters import Meters
from service.gateway.upstream_health import HealthCheck, checking
from service.telemetry.metrics import Metrics
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import Peer, Script, ScriptedUpstream, answering, eventually
from tests.unit.service.gateway.upstream_clients import OK, client_of

FAILS = b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"
HEADERS = [(b"content-type", b"application/json")]
FOR_GOOD = 3600.0


@dataclass
class Sent:
    """A request, told where it went."""

    replica: str | None = None
    prompt: bytes = b""


async def silent(peer: Peer) -> None:
    await peer.request()
    await peer.stall()


async def closes(peer: Peer) -> None:
    await peer.request()


async def cut(peer: Peer) -> None:
    await peer.request()
    await peer.send(STREAM_HEAD)


class Site:
    """A balancer before upstreams that play scripts."""

    def __init__(self, servers: Sequence[ScriptedUpstream], balancer: Balancer) -> None:
        self.servers = servers
        self.balancer = balancer
        self.replicas = balancer.replicas

    async def send(self, prompt: bytes = b"", sent: Sent | None = None) -> Answer:
        sent = sent or Sent()
        sent.prompt = prompt
        return await self.balancer.send(b"POST", b"/v1", HEADERS, b"{}", sent)

    async def ask(self, prompt: bytes = b"") -> tuple[str | None, int]:
        """Send a request, read its answer and return which replica gave it, and the status."""
        sent = Sent()
        answer = await self.send(prompt, sent)
        await answer.read_all(1000)
        return sent.replica, answer.status

    async def fail(self) -> None:
        """Send a request that ends in an error."""
        with pytest.raises(UpstreamError):
            await self.ask()

    def served(self) -> list[int]:
        return [len(server.requests) for server in self.servers]

    def in_flight(self) -> list[int]:
        return [replica.state.in_flight for replica in self.replicas]

    def up(self) -> list[bool]:
        return [replica.is_up for replica in self.replicas]


@asynccontextmanager
async def site_of(
    *scripts: Script | Sequence[Script],
    pause_s: float = FOR_GOOD,
    affinity_bytes: int = 0,
    slack: int = 2,
    max_connections: int = 10,
) -> AsyncIterator[Site]:
    """Run a replica for each script, or for each sequence of scripts."""
    meters = Meters(Metrics(CollectorRegistry()))
    ejection = EjectionPolicy(after_failures=3, first_s=pause_s, longest_s=FOR_GOOD)
    async with AsyncExitStack() as stack:
        servers, replicas = [], []
        for number, script in enumerate(scripts):
            played = [script] if callable(script) else script
            server = await stack.enter_async_context(ScriptedUpstream(*played))
            client = await stack.enter_async_context(
                client_of(server.port, max_connections=max_connections, connect_timeout_s=0.2)
            )
            name = f"replica-{number}"
            ejections = meters.ejections("test", name)
            replicas.append(
                Replica(name, client, ejection, ejections, max_connections=max_connections)
            )
            servers.append(server)
        policy = BalancingPolicy(ejection, affinity_bytes, affinity_slack=slack)
        yield Site(servers, Balancer("test", replicas, policy))


def check_of(site: Site, index: int) -> HealthCheck:
    replica = site.replicas[index]
    return HealthCheck(replica, replica.client, interval_s=0.01)


@on_uvloop
async def test_requests_go_to_the_replica_that_has_the_least_to_do() -> None:
    async with site_of(silent, silent, silent) as site:
        waiting = [asyncio.create_task(site.send()) for _ in range(9)]
        await eventually(lambda: site.served() == [3, 3, 3])
        assert site.in_flight() == [3, 3, 3]
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        assert site.in_flight() == [0, 0, 0]


@on_uvloop
async def test_an_answer_counts_as_in_flight_until_its_last_byte_has_come() -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(STREAM_HEAD)
        await go_on.wait()
        await peer.send(b"0\r\n\r\n")

    async with site_of(script) as site:
        answer = await site.send()
        assert site.in_flight() == [1]
        go_on.set()
        assert await answer.read_all(10) == b"half"
        assert site.in_flight() == [0]


@on_uvloop
async def test_an_answer_that_is_given_up_is_no_failure_of_the_replica() -> None:
    async with site_of(cut, cut) as site:
        for _ in range(10):
            (await site.send()).abort()
        assert site.in_flight() == [0, 0]
        assert site.up() == [True, True]


@on_uvloop
async def test_prompts_that_begin_alike_go_to_one_replica_and_others_elsewhere() -> None:
    async with site_of(*[answering(OK)] * 3, affinity_bytes=10) as site:
        for number in range(10):
            rests = (b"", b", and more", b", and other things")
            took = {(await site.ask(b"beginning%d" % number + rest))[0] for rest in rests}
            assert len(took) == 1
        assert all(site.served())


@on_uvloop
async def test_a_replica_that_is_too_busy_shares_its_prompts() -> None:
    async with site_of(silent, silent, affinity_bytes=10, slack=2) as site:
        waiting = [asyncio.create_task(site.send(b"the same for all")) for _ in range(10)]
        await eventually(lambda: sum(site.served()) == 10)
        fewer, more = sorted(site.served())
        assert more - fewer <= 2  # the slack
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)


@on_uvloop
async def test_a_replica_that_cannot_be_reached_costs_no_request() -> None:
    async with site_of(answering(OK), answering(OK)) as site:
        await site.servers[0].__aexit__()
        answers = [await site.ask() for _ in range(20)]
        assert answers == [("replica-1", 200)] * 20
        assert site.up() == [False, True]
        assert site.replicas[0].state.health.fault == Fault.UNREACHABLE
        assert site.replicas[0]._ejections[Fault.UNREACHABLE].total == 1


@on_uvloop
async def test_when_none_can_be_reached_each_request_tries_two_and_says_so() -> None:
    async with site_of(answering(OK), answering(OK), answering(OK)) as site:
        for server in site.servers:
            await server.__aexit__()
        for _ in range(12):
            with pytest.raises(UpstreamUnavailable):
                await site.ask()
        assert site.up() == [False] * 3
        assert [it._ejections[Fault.UNREACHABLE].total for it in site.replicas] == [1] * 3
        assert site.in_flight() == [0] * 3


@on_uvloop
async def test_a_request_that_was_sent_is_sent_to_no_other_replica() -> None:
    async with site_of(closes, closes) as site:
        await site.fail()
        assert sum(site.served()) == 1


@pytest.mark.parametrize("script", [closes, cut, answering(b"no http\r\n\r\n")])
@on_uvloop
async def test_a_replica_that_closes_early_is_left_out(script: Script) -> None:
    async with site_of(script, answering(OK)) as site:
        for _ in range(6):
            try:
                await site.ask()
            except UpstreamError:
                continue
        assert site.up() == [False, True]
        assert site.served()[0] == 3
        assert [await site.ask() for _ in range(5)] == [("replica-1", 200)] * 5


@on_uvloop
async def test_a_replica_that_answers_with_a_server_error_is_left_out() -> None:
    async with site_of(answering(FAILS), answering(OK)) as site:
        statuses = [(await site.ask())[1] for _ in range(10)]
        assert sorted(statuses) == [200] * 7 + [500] * 3
        assert site.up() == [False, True]
        assert site.in_flight() == [0, 0]


@on_uvloop
async def test_failures_between_good_answers_leave_a_replica_in() -> None:
    async with site_of(answering(*[FAILS, FAILS, OK] * 5)) as site:
        for _ in range(15):
            await site.ask()
        assert site.up() == [True]


@on_uvloop
async def test_a_replica_on_its_own_is_tried_however_often_it_failed() -> None:
    async with site_of(answering(*[FAILS] * 10, OK)) as site:
        statuses = [(await site.ask())[1] for _ in range(11)]
        assert statuses == [500] * 10 + [200]
        assert site.up() == [True]


@on_uvloop
async def test_after_its_time_a_replica_gets_one_request_as_its_trial() -> None:
    flaky = [answering(*[FAILS] * 3, OK)]
    async with site_of(flaky, answering(OK), pause_s=0.05) as site:
        for _ in range(6):
            await site.ask()
        assert site.up() == [False, True]
        asked = 0
        while not site.up()[0]:
            assert (await site.ask())[1] == 200
            asked += 1
            await asyncio.sleep(0.005)
        assert asked > 1


@on_uvloop
async def test_a_caller_who_waits_for_a_free_connection_in_vain_ejects_nobody() -> None:
    async with site_of(silent, silent, max_connections=2) as site:
        waiting = [asyncio.create_task(site.send()) for _ in range(4)]
        await eventually(lambda: site.served() == [2, 2])
        for _ in range(5):
            with pytest.raises(UpstreamUnavailable, match="in time"):
                await site.ask()
        assert site.up() == [True, True]
        assert site.replicas[0].state.health.failures == 0
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        assert site.in_flight() == [0, 0]


@on_uvloop
async def test_what_is_left_out_and_what_is_back_is_logged_by_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        async with site_of(answering(*[FAILS] * 3, OK)) as site:
            for _ in range(4):
                await site.ask()
    told = [(it.getMessage(), it.__dict__["replica"]) for it in caplog.records]
    assert told == [("a replica is left out", "replica-0"), ("a replica is back", "replica-0")]


# Health.


@on_uvloop
async def test_health_is_asked_for_at_once_and_again_until_the_end() -> None:
    async with site_of(answering(OK)) as site:
        async with checking([check_of(site, 0)]):
            await eventually(lambda: site.served()[0] > 2)
        requests = site.servers[0].requests
        assert all(it.startswith(b"GET /health HTTP/1.1\r\n") for it in requests)
        assert site.replicas[0].client.open_connections == 0


@pytest.mark.parametrize("script", [closes, answering(FAILS)])
@on_uvloop
async def test_a_replica_whose_health_fails_is_left_out_before_a_request_meets_it(
    script: Script,
) -> None:
    async with site_of(script, answering(OK)) as site:
        for _ in range(3):
            await check_of(site, 0).check()
        assert site.up() == [False, True]
        assert site.replicas[0]._ejections[Fault.HEALTH].total == 1
        assert [await site.ask() for _ in range(5)] == [("replica-1", 200)] * 5


@on_uvloop
async def test_a_replica_that_could_not_be_reached_is_back_once_its_health_is_good() -> None:
    async with site_of(answering(OK), answering(OK)) as site:
        for _ in range(3):
            site.replicas[0].fail(Fault.UNREACHABLE)
        assert site.up() == [False, True]
        await check_of(site, 0).check()
        assert site.up() == [True, True]


@on_uvloop
async def test_good_health_does_not_return_what_answers_requests_with_errors() -> None:
    async with site_of(answering(OK), answering(OK)) as site:
        for _ in range(3):
            site.replicas[0].fail(Fault.STATUS)
        await check_of(site, 0).check()
        assert site.up() == [False, True]


@on_uvloop
async def test_a_server_without_health_counts_as_up() -> None:
    async with site_of(answering(b"HTTP/1.1 404 X\r\ncontent-length: 0\r\n\r\n")) as site:
        for _ in range(5):
            await check_of(site, 0).check()
        assert site.up() == [True]
