"""THE PATH: what happens to a request, in order.

receive → authenticate → authorise → record "opened" → forward → relay the answer as it comes
→ record "closed" → the last bytes (from "opened" on: passage.py). Nothing on this path touches
SQL or Kafka, or blocks the event loop.
"""

import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from service.core.surfaces.shape import Request, Surface, check_parameters, parse
from service.errors import ClientGone, ModelNotFound, SafeguardInactive, WatchgateError
from service.gateway import problems
from service.gateway.asgi import Fields, Header, Receive, Scope, Send, read_body, send_whole
from service.gateway.auth import Authenticator
from service.gateway.exchange import Exchange, ExchangeIds, ServedModel
from service.gateway.meters import Meters
from service.gateway.passage import Passage, Recorder
from service.gateway.routes import ModelList, route
from service.gateway.safeguards import SafeguardBoard
from service.telemetry.tracing import Tracer

_log = logging.getLogger(__name__)
_CALLER_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request and an answer may be."""

    max_body_bytes: int
    max_answer_bytes: int
    body_timeout_s: float


@dataclass(slots=True)
class Arrival:
    """A request before it is let in; the labels are as much as is known of it."""

    id: str
    at: float
    started: float
    fields: Fields
    caller_request_id: str | None
    surface: str = "other"
    model: str = "other"

    def headers(self) -> list[Header]:
        """Return the headers that every answer carries."""
        request_id = self.caller_request_id or self.id
        return [
            (b"x-request-id", request_id.encode()),
            (b"x-watchgate-receipt", self.id.encode()),
        ]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Serves /v1/*; one a process."""

    models: Mapping[str, ServedModel]
    authenticator: Authenticator
    board: SafeguardBoard
    recorder: Recorder
    ids: ExchangeIds
    meters: Meters
    tracer: Tracer
    limits: Limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, whatever becomes of it."""
        arrival = self._arrive(scope)
        self.meters.in_flight += 1
        try:
            await self._serve(arrival, scope, receive, send)
        except ClientGone:
            self.meters.refused(arrival.surface, arrival.model, "client_gone")
        except Exception as error:  # noqa: BLE001  (callers get an error object, never a traceback)
            await self._refuse(arrival, error, send)
        finally:
            self.meters.in_flight -= 1

    async def _serve(self, arrival: Arrival, scope: Scope, receive: Receive, send: Send) -> None:
        target = route(scope)
        caller = self.authenticator.authenticate(arrival.fields, arrival.at)
        if isinstance(target, ModelList):
            await send_whole(send, 200, *target.answer(self.models, arrival.headers()))
            return
        arrival.surface = target.name
        limits = self.limits
        body = await read_body(
            arrival.fields,
            receive,
            max_bytes=limits.max_body_bytes,
            timeout_s=limits.body_timeout_s,
        )
        request = parse(body)
        model = self._authorise(arrival, request, target)
        traceparent = arrival.fields.get(b"traceparent")
        exchange = Exchange(
            id=arrival.id,
            ids=self.ids,
            received_at=arrival.at,
            started=arrival.started,
            caller=caller,
            surface=target,
            model=model,
            request=request,
            caller_request_id=arrival.caller_request_id,
            traceparent=traceparent.decode("latin-1") if traceparent else None,
            reader=target.answer_reader(),
        )
        trace = self.tracer.exchange(model.name, target.name, exchange.traceparent)
        passage = Passage(exchange, self.recorder, trace, limits.max_answer_bytes)
        await passage.run(scope, send, arrival.headers())

    def _arrive(self, scope: Scope) -> Arrival:
        fields: Fields = dict(scope["headers"])
        given = fields.get(b"x-request-id")
        caller_id = given.decode() if given and _CALLER_ID.fullmatch(given) else None
        return Arrival(self.ids.next(), time.time(), time.perf_counter(), fields, caller_id)

    def _authorise(self, arrival: Arrival, request: Request, surface: Surface) -> ServedModel:
        """Find the model and see that it may be served, with these parameters."""
        model = self.models.get(request.model)
        if model is None:
            raise ModelNotFound(f"There is no model {request.model[:128]!r}.", param="model")
        arrival.model = model.name
        if (reason := self.board.inactive(model.name)) is not None:
            raise SafeguardInactive(reason)
        check_parameters(request, surface, strict=model.tier.strict_parameters)
        return model

    async def _refuse(self, arrival: Arrival, error: Exception, send: Send) -> None:
        problem = problems.problem_of(error)
        if not isinstance(error, WatchgateError):
            kind = type(error).__name__  # its words might hold what a caller wrote
            _log.error("a request failed", extra={"exchange_id": arrival.id, "error": kind})
        self.meters.refused(arrival.surface, arrival.model, problem.code)
        headers = [*arrival.headers(), *problems.error_headers(error)]
        await send_whole(send, problem.status, headers, problems.error_body(error))
