"""An upstream as the pipeline sees it: one replica, or several to choose from.

core/balancing.py decides; this counts what is in flight, notes how answers begin and end, and
sends on. With one replica there is nothing to choose, and a request costs two additions more.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from service.core.balancing import (
    HEALTHY,
    EjectionPolicy,
    Fault,
    Health,
    ReplicaState,
    answered,
    checked,
    choose,
    completed,
    digest,
    failed,
    tried,
)
from service.errors import UpstreamBroke, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from service.gateway.http_answer import Answer, GivenUp
from service.gateway.http_connection import UpstreamSilent
from service.gateway.http_pool import NoConnection
from service.gateway.probe_link import ProbeLink
from service.gateway.upstream import UpstreamClient
from service.telemetry.tally import CounterTally

_log = logging.getLogger(__name__)
FIRST_SERVER_ERROR: Final = 500
Headers = Sequence[tuple[bytes, bytes]]
Prompt = bytes | msgspec.Raw
"""The field of a request that its prompt is in, as it was written."""


class Forwarded(Protocol):
    """What is sent to an upstream; it is told which replica it goes to."""

    replica: str | None

    @property
    def prompt(self) -> Prompt:
        """What should go to the replica that has seen its beginning."""


@dataclass(frozen=True, slots=True)
class BalancingPolicy:
    """How requests are spread over the replicas of one upstream."""

    ejection: EjectionPolicy
    affinity_bytes: int
    """How much of a prompt is to be alike for one replica; 0: prompts do not matter."""
    affinity_slack: int
    """How many more requests in flight than the least loaded one that may bring a replica to."""


class Replica:
    """One server of an upstream, and what is known of it."""

    def __init__(
        self,
        name: str,
        client: UpstreamClient,
        policy: EjectionPolicy,
        ejections: Mapping[Fault, CounterTally],
        *,
        max_connections: int,
    ) -> None:
        """Take it to be up.

        Args:
            name: its address, as metrics, events and logs show it.
            client: the connections to it.
            policy: when it is ejected.
            ejections: counted here, by what caused them.
            max_connections: of the client: who waits beyond them waits for others, not for it.
        """
        self.name = name
        self.client = client
        self.state = ReplicaState(digest(name.encode()))
        self._policy = policy
        self._ejections = ejections
        self._max_connections = max_connections
        self._clock = asyncio.get_running_loop().time

    @property
    def is_up(self) -> bool:
        """It is not ejected, nor on trial."""
        return not self.state.health.ejections

    async def send(self, method: bytes, path: bytes, headers: Headers, body: bytes) -> Answer:
        """Send a request as `UpstreamClient.send` does, and note what becomes of it."""
        state = self.state
        if state.health.ejections:
            state.health = tried(state.health, self._clock(), self._policy)
        state.in_flight += 1
        try:
            answer = await self.client.send(method, path, headers, body)
        except BaseException as error:
            if fault := self._fault_of(error):
                self.fail(fault)
            state.in_flight -= 1
            raise
        if answer.status >= FIRST_SERVER_ERROR:
            self.fail(Fault.STATUS)
            answer.on_end(self._leave)
        else:
            if state.health.ejections:
                self._set(answered(state.health, self._clock()))
            answer.on_end(self._end)
        return answer

    def fail(self, fault: Fault) -> None:
        """Note a failure; only the one that has it left out is told, not each trial after that."""
        before, now = self.state.health, self._clock()
        health = self.state.health = failed(before, fault, now, self._policy)
        if health.ejections and not before.ejections:
            self._ejections[fault].total += 1
            _log.warning(
                "a replica is left out",
                extra={
                    "upstream": self.client.target.name,
                    "replica": self.name,
                    "fault": fault,
                    "pause_s": round(health.ejected_until - now, 3),
                },
            )

    def check_passed(self) -> None:
        """Note that its /health answered well."""
        if self.state.health is not HEALTHY:
            self._set(checked(self.state.health))

    def _set(self, health: Health) -> None:
        if self.state.health.ejections and not health.ejections:
            extra = {"upstream": self.client.target.name, "replica": self.name}
            _log.warning("a replica is back", extra=extra)
        self.state.health = health

    def _leave(self, _: UpstreamError | None) -> None:
        self.state.in_flight -= 1

    def _end(self, error: UpstreamError | None) -> None:
        state = self.state
        state.in_flight -= 1
        if error is None:
            if state.health is not HEALTHY:
                self._set(completed(state.health, self._clock()))
        elif isinstance(error, UpstreamBroke) and not isinstance(error, GivenUp):
            self.fail(Fault.CLOSED)

    def _fault_of(self, error: BaseException) -> Fault | None:
        """Return what an error says of the replica; slowness may be the request's own doing."""
        match error:
            case NoConnection() if self.state.in_flight > self._max_connections:
                return None  # busy, not away
            case UpstreamSilent() | NoConnection():
                return Fault.UNREACHABLE
            case GivenUp() | UpstreamTimeout():
                return None
            case UpstreamUnavailable() | UpstreamBroke():
                return Fault.CLOSED
            case _:
                return None


class Balancer:
    """Sends each request to a replica. Belongs to one event loop."""

    def __init__(self, name: str, replicas: Sequence[Replica], policy: BalancingPolicy) -> None:
        """Know at least one replica, all of one name in the settings."""
        self.name = name
        self.probes: ProbeLink | None = None
        """Where what happens inside its model is told; None: nobody looks there."""
        self.replicas = tuple(replicas)
        self._only = replicas[0] if len(replicas) == 1 else None
        self._states = [replica.state for replica in replicas]
        self._policy = policy
        self._tie = 0
        self._clock = asyncio.get_running_loop().time

    def send(
        self,
        method: bytes,
        path: bytes,
        headers: Headers,
        body: bytes,
        sent: Forwarded,
    ) -> Awaitable[Answer]:
        """Send a request to the replica for its prompt, as `UpstreamClient.send` does.

        If no connection could be made, so that it was never sent, another replica is tried, once.
        """
        if (only := self._only) is not None:
            sent.replica = only.name
            return only.send(method, path, headers, body)
        return self._send_to_one(method, path, headers, body, sent)

    async def close(self) -> None:
        """Close the connections to all replicas."""
        for replica in self.replicas:
            await replica.client.close()

    async def _send_to_one(
        self,
        method: bytes,
        path: bytes,
        headers: Headers,
        body: bytes,
        sent: Forwarded,
    ) -> Answer:
        affinity = self._affinity(sent.prompt)
        first = self._choose(affinity, None)
        replica = self.replicas[first]
        sent.replica = replica.name
        try:
            return await replica.send(method, path, headers, body)
        except (UpstreamSilent, NoConnection):
            other = self.replicas[self._choose(affinity, first)]
        sent.replica = other.name
        return await other.send(method, path, headers, body)

    def _affinity(self, prompt: Prompt) -> int | None:
        size = self._policy.affinity_bytes
        return digest(memoryview(prompt)[:size]) if size else None

    def _choose(self, affinity: int | None, without: int | None) -> int:
        self._tie += 1
        slack = self._policy.affinity_slack
        return choose(
            self._states, self._clock(), affinity=affinity, tie=self._tie, slack=slack,
            without=without,
        )  # fmt: skip
