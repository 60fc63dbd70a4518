"""An exchange from "opened" to "closed": forward it, relay the answer, whatever happens.

The first byte of an answer is released only after `opened` has reached the level of evidence
that the model's tier names, the last only after `closed` has.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from service.core.surfaces.shape import to_upstream
from service.errors import (
    EventLogError,
    UpstreamBroke,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from service.events.log import Position
from service.events.schema import Outcome, to_record
from service.gateway import problems
from service.gateway.asgi import Header, Scope, Send
from service.gateway.evidence import Evidence
from service.gateway.exchange import Exchange
from service.gateway.http_answer import Answer
from service.gateway.meters import Meters
from service.gateway.relay import Relay, is_stream
from service.telemetry.tracing import Trace

ON_DISCONNECT: Final = "watchgate.on_disconnect"
"""The ASGI extension of server.py: registers what is called when the caller hangs up."""

_RELAYED_REFUSALS: Final = frozenset({400, 413, 422, 429})
"""Statuses by which the upstream speaks to the caller; others speak of our own set-up."""
_OK: Final = 200
_OUTCOMES: Final[dict[type[Exception], Outcome]] = {
    UpstreamUnavailable: "upstream_unavailable",
    UpstreamTimeout: "upstream_timeout",
    UpstreamBroke: "upstream_broke",
}


@dataclass(frozen=True, slots=True)
class Recorder:
    """Where exchanges are recorded and counted."""

    evidence: Evidence
    meters: Meters


class Passage:
    """One exchange's way to the upstream and back."""

    def __init__(
        self, exchange: Exchange, recorder: Recorder, trace: Trace, max_answer_bytes: int
    ) -> None:
        """Do nothing yet."""
        self._exchange = exchange
        self._recorder = recorder
        self._trace = trace
        self._max_answer_bytes = max_answer_bytes
        self._answer: Answer | None = None
        self._closed = False
        self._hung_up = False

    async def run(self, scope: Scope, send: Send, headers: list[Header]) -> None:
        """Bring the request to the upstream and the answer to the caller.

        Raises:
            UpstreamError, EventLogError: before anything was sent; else the stream tells.
        """
        opened = self._record_opened()
        relay = Relay(self._exchange, send, headers, self._finish)
        self._watch(scope)
        try:
            answer = await self._forward()
            self._exchange.position = await opened
            if is_stream(answer):
                await relay.stream(answer, self._max_answer_bytes)
            else:
                await relay.whole(answer, self._max_answer_bytes)
            self._recorder.meters.after.observe(time.perf_counter() - relay.upstream_done)
        except asyncio.CancelledError:
            self._give_up("client_gone" if self._hung_up else "interrupted")
            if not self._hung_up:
                raise
        except Exception as error:
            self._give_up(_OUTCOMES.get(type(error), "interrupted"))
            if not relay.started:
                raise
            await send({"type": "http.response.body", "body": problems.error_event(error)})

    def _record_opened(self) -> asyncio.Future[Position]:
        exchange = self._exchange
        record = to_record(exchange.opened(), exchange.request.body)
        return self._recorder.evidence.append(record, exchange.model.evidence, ends=False)

    def _watch(self, scope: Scope) -> None:
        """Cancel this task, and with it the upstream's work, when the caller hangs up."""
        register = scope.get("extensions", {}).get(ON_DISCONNECT)
        task = asyncio.current_task()
        if register is not None and task is not None:
            register(self._hang_up(task))

    def _hang_up(self, task: asyncio.Task[object]) -> Callable[[], None]:
        def hang_up() -> None:
            if not self._closed:
                self._hung_up = True
                task.cancel()

        return hang_up

    async def _forward(self) -> Answer:
        exchange = self._exchange
        body = to_upstream(exchange.request, exchange.model.upstream_model)
        headers = [
            (b"content-type", b"application/json"),
            (b"x-request-id", exchange.id.encode()),
        ]
        if self._trace.traceparent is not None:
            headers.append((b"traceparent", self._trace.traceparent.encode("latin-1")))
        self._recorder.meters.before.observe(exchange.elapsed_s())
        path = exchange.surface.path.encode()
        answer = await exchange.model.upstream.send(b"POST", path, headers, body)
        self._answer = answer
        exchange.status = answer.status
        if answer.status != _OK and answer.status not in _RELAYED_REFUSALS:
            raise UpstreamUnavailable(f"the upstream answered with status {answer.status}")
        return answer

    async def _finish(self) -> None:
        """Record "closed" and wait for it: only then may the last bytes go."""
        refused = self._exchange.status != _OK
        await self._close("refused_by_upstream" if refused else "completed")

    def _give_up(self, outcome: Outcome) -> None:
        if self._answer is not None:
            self._answer.abort()
        if not self._closed:
            self._close(outcome)

    def _close(self, outcome: Outcome) -> asyncio.Future[Position]:
        """Record and count how the exchange ended, once."""
        self._closed = True
        exchange, evidence = self._exchange, self._recorder.evidence
        self._trace.end(outcome, exchange.reader.usage)
        record = to_record(exchange.closed(outcome), exchange.reader.content())
        self._recorder.meters.ended(exchange, outcome)
        try:
            position = evidence.append(record, exchange.model.evidence, ends=True)
        except EventLogError as error:
            position = asyncio.get_running_loop().create_future()
            position.set_exception(error)
            position.exception()
        if exchange.first_byte_s is not None:
            position.add_done_callback(self._count_recorded)
        return position

    def _count_recorded(self, position: asyncio.Future[Position]) -> None:
        if not position.cancelled() and position.exception() is None:
            self._recorder.meters.recorded(self._exchange)
