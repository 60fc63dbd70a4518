"""An exchange from "opened" to "closed": forward it, relay the answer, whatever happens.

The first byte of an answer is released only after `opened` has reached the level of evidence
that the model's tier names, the last only after `closed` has.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Final

from service.core.probed import Probed
from service.core.surfaces.shape import to_upstream
from service.errors import (
    AccountSuspended,
    EventLogError,
    Interrupted,
    InvalidApiKey,
    JournalFull,
    PromptBlocked,
    Refusal,
    SafeguardInactive,
    UpstreamBroke,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from service.events.log import Position
from service.events.schema import Outcome, to_record
from service.gateway import problems
from service.gateway.asgi import ON_DISCONNECT, SEND_NOW, SEND_WHOLE, Header, Scope, Send
from service.gateway.evidence import Evidence
from service.gateway.exchange import Exchange
from service.gateway.http_answer import Answer
from service.gateway.meters import Meters
from service.gateway.prompt_screen import NOTHING_FOUND
from service.gateway.relay import OK, Relay, is_stream
from service.telemetry.tracing import Trace

_log = logging.getLogger(__name__)
_UNSCREENED: Final = "The safeguard 'prompt_screen' could not screen all of this prompt"
_RELAYED_REFUSALS: Final = frozenset({400, 413, 422, 429})
"""Statuses by which the upstream speaks to the caller; others speak of our own set-up."""


@dataclass(frozen=True, slots=True)
class Recorder:
    """Where exchanges are recorded and counted."""

    evidence: Evidence
    meters: Meters


class Passage:
    """One exchange's way to the upstream and back."""

    def __init__(
        self,
        exchange: Exchange,
        recorder: Recorder,
        trace: Trace,
        send: Send,
        headers: list[Header],
    ) -> None:
        """Belong to the task that makes it; do nothing yet."""
        self._exchange = exchange
        self._evidence = recorder.evidence
        self._meters = recorder.meters
        self._trace = trace
        self._send = send
        self._headers = headers
        self._relay = Relay(exchange, send, headers)
        self._task = asyncio.current_task()
        self._unrecorded: EventLogError | None = None
        self._answer: Answer | None = None
        self._closed = False
        self._probed: Probed | None = None
        self._hung_up = False
        self._revoked: Refusal | None = None

    async def run(self, scope: Scope, max_answer_bytes: int) -> str:
        """Bring the request to the upstream and the answer, or an error, to the caller.

        Returns how it is counted.
        """
        try:
            outcome: str = await self._pass(scope, max_answer_bytes)
        except asyncio.CancelledError:
            if self._hung_up and self._unrecorded is None:
                outcome = self._give_up("client_gone")
            else:
                outcome = await self._fail(self._unrecorded or self._revoked or Interrupted())
        except Exception as error:  # noqa: BLE001  (callers get an error object, never a traceback)
            outcome = await self._fail(error)
        if (probes := self._exchange.model.upstream.probes) is not None:
            probes.forget(self._exchange.id)
        self._trace.end(outcome, self._exchange)
        self._meters.ended(self._exchange, outcome)
        return outcome

    def revoke(self, error: Refusal) -> None:
        """End the answer here: whoever asked for it may not have it any more."""
        if not self._closed and self._task is not None:
            self._revoked = error
            self._task.cancel()

    async def _pass(self, scope: Scope, max_answer_bytes: int) -> Outcome:
        """Do all that an exchange is, and return how it ended."""
        opened = self._record_opened()
        self._refuse_prompt()
        self._watch(scope)
        answer = await self._forward()
        self._exchange.position = await opened
        relay, extensions = self._relay, scope["extensions"]
        if is_stream(answer):
            await relay.stream(answer, max_answer_bytes, self._finish, extensions[SEND_NOW])
        else:
            await relay.whole(answer, max_answer_bytes, self._finish, extensions[SEND_WHOLE])
        self._meters.after.observe(time.perf_counter() - relay.upstream_done)
        return self._outcome()

    def _record_opened(self) -> asyncio.Future[Position]:
        exchange = self._exchange
        record = to_record(exchange.opened(), exchange.request.body)
        return self._evidence.append(
            record, exchange.model.evidence, ends=False, on_decided=self._see_opened
        )

    def _see_opened(self, error: EventLogError | None) -> None:
        """Give up at once what cannot be recorded: the upstream may be long at work on it."""
        if error is not None and not self._closed and self._task is not None:
            self._unrecorded = error
            self._task.cancel()

    def _refuse_prompt(self) -> None:
        """End here what may not be forwarded: the record keeps what was asked.

        Raises:
            PromptBlocked: it crosses a point that blocks.
            SafeguardInactive: it could not be screened, and the policy is to refuse then.
        """
        finding, model = self._exchange.finding, self._exchange.model
        if finding is None or finding is NOTHING_FOUND:
            return
        if finding.unscanned is not None:
            self._meters.unscanned(model.name, finding.unscanned)
        if model.screens.observe_only:
            return
        if finding.crossed:
            raise PromptBlocked("a point that blocks was crossed")
        if model.screens.policy.prompt_on_error == "refuse":
            raise SafeguardInactive(f"{_UNSCREENED}: {finding.unscanned}.")

    def _watch(self, scope: Scope) -> None:
        """Cancel this task, and with it the upstream's work, when the caller hangs up."""
        if (register := scope["extensions"].get(ON_DISCONNECT)) is not None:
            register(self._hang_up)

    def _hang_up(self) -> None:
        if not self._closed and self._task is not None:
            self._hung_up = True
            self._task.cancel()

    async def _forward(self) -> Answer:
        exchange, model = self._exchange, self._exchange.model
        probes, told_by = model.upstream.probes, None
        if probes is not None:
            probes.expect(exchange.id)
            told_by = exchange.id
        body = to_upstream(
            exchange.request, exchange.surface, model.upstream_model, exchange.max_tokens, told_by
        )
        headers = [
            (b"content-type", b"application/json"),
            (b"x-request-id", exchange.id.encode()),
        ]
        if exchange.traceparent is not None:
            headers.append((b"traceparent", exchange.traceparent.encode()))
        self._meters.before.observe(exchange.elapsed_s() - exchange.upload_s)
        path = exchange.surface.path.encode()
        self._answer = answer = await model.upstream.send(b"POST", path, headers, body, exchange)
        exchange.status = answer.status
        if answer.status != OK and answer.status not in _RELAYED_REFUSALS:
            raise UpstreamUnavailable(f"the upstream answered with status {answer.status}")
        return answer

    def _outcome(self) -> Outcome:
        if self._relay.was_cut:
            return "cut_off"
        return "completed" if self._exchange.status == OK else "refused_by_upstream"

    def _finish(self) -> Awaitable[object]:
        """Record "closed"; only once this is done may the last bytes go."""
        return self._close(self._outcome())

    async def _fail(self, error: Exception) -> str:
        """Record that the exchange failed, tell the caller, and return how it is counted."""
        if isinstance(error, EventLogError):
            self._closed = True  # there is no `opened` to end, or no way to end it
        self._give_up(_outcome_of(error))
        problems.log_unforeseen(error, self._exchange.id)
        if isinstance(error, UpstreamError):
            _log.warning(  # its words are ours: what the upstream said might quote the caller
                "the upstream failed: %s",
                error,
                extra={
                    "upstream": self._exchange.model.upstream.name,
                    "replica": self._exchange.replica,
                    "exchange_id": self._exchange.id,
                },
            )
        shape = self._exchange.surface.errors
        if self._relay.started:
            event = problems.error_event(error, shape, self._exchange.place)
            await self._send({"type": "http.response.body", "body": event})
        else:
            await problems.send_error(self._send, error, self._headers, shape)
        return _counted_as(error)

    def _give_up(self, outcome: Outcome) -> Outcome:
        if self._answer is not None:
            self._answer.abort()
        if not self._closed:
            self._close(outcome)
        return outcome

    def _close(self, outcome: Outcome) -> asyncio.Future[Position]:
        """Record how the exchange ended, once."""
        exchange = self._exchange
        probes = exchange.model.upstream.probes
        probed = None if probes is None else probes.probed(exchange.id)
        record = to_record(exchange.closed(outcome, probed), exchange.reader.content())
        self._closed, self._probed = True, probed
        return self._evidence.append(
            record, exchange.model.evidence, ends=True, on_decided=self._see_closed
        )

    def _see_closed(self, error: EventLogError | None) -> None:
        """Count an exchange that was served once the fate of its last record is known."""
        exchange = self._exchange
        if error is not None and not self._relay.started:
            exchange.take_back_release()
        if exchange.served_number:
            self._meters.served(exchange, recorded=error is None)
        if isinstance(error, JournalFull):
            self._owe()

    def _owe(self) -> None:
        """Record later that the exchange was interrupted, which is what its caller was told."""
        exchange = self._exchange
        record = to_record(exchange.closed("interrupted", self._probed), exchange.reader.content())
        self._evidence.owe(record, exchange.model.evidence, self._see_owed)

    def _see_owed(self, error: EventLogError | None) -> None:
        if isinstance(error, JournalFull):
            self._owe()
        elif error is None and self._exchange.served_number:
            self._meters.recorded(self._exchange)


_OUTCOMES: Final[Mapping[type[Exception], Outcome]] = {
    UpstreamUnavailable: "upstream_unavailable",
    UpstreamTimeout: "upstream_timeout",
    UpstreamBroke: "upstream_broke",
    PromptBlocked: "blocked",
    SafeguardInactive: "screen_failed",
    InvalidApiKey: "revoked",
    AccountSuspended: "revoked",
}


def _outcome_of(error: Exception) -> Outcome:
    found = (outcome for kind, outcome in _OUTCOMES.items() if isinstance(error, kind))
    return next(found, "interrupted")


def _counted_as(error: Exception) -> str:
    """An outcome, or the code that the caller gets where that says more."""
    outcome = _outcome_of(error)
    return problems.problem_of(error).code if outcome == "interrupted" else outcome
