"""THE PATH: what happens to a request, in order.

receive → authenticate → authorise → limit → screen the prompt → record "opened" → forward →
relay and screen the answer as it comes → record "closed" → the last bytes (from "opened" on:
passage.py). Nothing on this path touches SQL or Kafka, or blocks the event loop.
"""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from service.core.callers import Caller
from service.core.directory import Snapshot
from service.core.surfaces import errors_at
from service.core.surfaces.shape import Request, Surface, check_parameters, parse
from service.errors import ClientGone, Interrupted, ModelNotFound, SafeguardInactive
from service.gateway import problems
from service.gateway.asgi import (
    BODY_NOW,
    MEMO,
    Fields,
    Header,
    Receive,
    Scope,
    Send,
    check_body,
    read_body,
    send_whole,
)
from service.gateway.auth import Authenticator, Proof
from service.gateway.authoriser import Authoriser
from service.gateway.caps import KeysInFlight
from service.gateway.denials import Denials
from service.gateway.end_users import EndUsers
from service.gateway.exchange import Exchange, ExchangeIds, ServedModel
from service.gateway.limiter import NO_PERMIT, Permit, rate_headers
from service.gateway.meters import MODELS, Meters
from service.gateway.open_answers import OpenAnswers
from service.gateway.passage import Passage, Recorder
from service.gateway.quotas import Quotas
from service.gateway.relay import OK
from service.gateway.routes import ModelList, route
from service.gateway.safeguards import SafeguardBoard
from service.gateway.served_points import ServedPoints
from service.telemetry.tracing import Trace, Tracer

_OF_ANTHROPIC: Final = frozenset({"messages", "count_tokens"})
_CALLER_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_TRACEPARENT: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""https://www.w3.org/TR/trace-context/, versions that look like the first."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request and an answer may be."""

    max_body_bytes: int
    max_answer_bytes: int
    body_timeout_s: float


class Head(msgspec.Struct, eq=False):
    """What a request's head says, whoever else sends the same; of its key the digests alone."""

    fields: Fields
    """The content-length among them is that of the first of these requests."""
    caller_request_id: str | None
    traceparent: str | None
    """None where there is none, or one that is not of the standard's form."""
    target: Surface | ModelList | None = None
    """None: nobody has looked yet."""
    proof: Proof | None = None
    """None: nobody has looked yet."""


class Arrival(msgspec.Struct, eq=False):
    """A request before it is let in; the labels are as much as is known of it."""

    id: str
    at: float
    started: float
    head: Head
    upload_s: float = 0.0
    surface: str = "other"
    model: str = "other"
    entered: str | None = None
    permit: Permit | None = None

    def headers(self) -> list[Header]:
        """Return the headers that every answer carries."""
        receipt = self.id.encode()
        given = self.head.caller_request_id
        request_id = given.encode() if given else receipt
        headers = [(b"x-request-id", request_id), (b"x-watchgate-receipt", receipt)]
        if self.surface in _OF_ANTHROPIC:
            headers.append((b"request-id", request_id))  # where Anthropic's clients look for it
        if self.permit is not None and self.permit is not NO_PERMIT:
            headers += rate_headers(self.permit)
        return headers


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Serves /v1/*; one a process."""

    models: Mapping[str, ServedModel]
    authenticator: Authenticator
    keys: KeysInFlight
    end_users: EndUsers
    authoriser: Authoriser
    quotas: Quotas
    answers: OpenAnswers
    denials: Denials
    board: SafeguardBoard
    points: ServedPoints
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
            asked = await self._ask(arrival, scope, receive, send)
            if asked is not None:  # not awaited in there: each frame is gone through at each wait
                await self._answer(arrival, *asked, scope, send)
        except ClientGone:
            self.meters.request(arrival.surface, arrival.model, "client_gone")
        except asyncio.CancelledError:
            await self._refuse(arrival, Interrupted(), scope, send)
        except Exception as error:  # noqa: BLE001  (callers get an error object, never a traceback)
            await self._refuse(arrival, error, scope, send)
        finally:
            self.meters.in_flight -= 1
            self.keys.leave(arrival.entered)

    async def _ask(
        self, arrival: Arrival, scope: Scope, receive: Receive, send: Send
    ) -> tuple[Caller, Surface, Request] | None:
        """Return who asks what of a model; None: it was a question that is answered already."""
        target = self._target(arrival, scope)
        caller = self._caller(arrival, arrival.at)
        arrival.entered = self.keys.enter(caller.key_id)
        if isinstance(target, ModelList):
            may_use, known = self.authoriser.may_use, self.models.values()
            models = [it.name for it in known if may_use(caller, it.access, scope)]
            await send_whole(send, OK, *target.answer(models, arrival.headers()))
            self.meters.request(arrival.surface, arrival.model, "completed")
            return None
        body = self._body_now(arrival.head.fields, scope)
        if body is None:
            body = await self._body(arrival.head.fields, receive)
            arrival.upload_s = time.perf_counter() - arrival.started
            now = time.time()  # a body may take long: what was true may be no more
            caller = self._caller(arrival, now)
        return caller, target, parse(body)

    async def _answer(  # noqa: PLR0913, PLR0917  (a request that has come whole)
        self,
        arrival: Arrival,
        caller: Caller,
        surface: Surface,
        request: Request,
        scope: Scope,
        send: Send,
    ) -> None:
        fields = arrival.head.fields
        caller, end_user = self.end_users.identify(caller, request, surface, fields, arrival.at)
        model = self._model(arrival, request, caller, surface)
        grant = self.authoriser.authorise(caller, model.access, surface, request, end_user, scope)
        self._check(model, request, surface)
        permit = arrival.permit = await self.quotas.admit(
            caller, model, surface, request, grant.max_tokens
        )
        exchange, outcome = None, ""
        try:
            screen = model.prompt_screen
            finding = None if screen is None else await screen.look(surface, request)
            self.answers.check(model, caller, arrival.head.proof)  # it may have waited for its turn
            exchange, trace = self._exchange(arrival, caller, surface, model, request)
            exchange.finding, exchange.max_tokens = finding, grant.max_tokens
            passage = Passage(exchange, self.recorder, trace, send, arrival.headers())
            self.answers.begin(passage, exchange, arrival.head.proof)
            outcome = await passage.run(scope, self.limits.max_answer_bytes)
        finally:
            self.answers.end(arrival.id)
            self.quotas.settle(permit, exchange, outcome)

    def _exchange(
        self,
        arrival: Arrival,
        caller: Caller,
        surface: Surface,
        model: ServedModel,
        request: Request,
    ) -> tuple[Exchange, Trace]:
        head = arrival.head
        trace = self.tracer.exchange(arrival.id, model.name, surface.name, head.traceparent)
        exchange = Exchange(
            id=arrival.id,
            ids=self.ids,
            received_at=arrival.at,
            started=arrival.started,
            upload_s=arrival.upload_s,
            caller=caller,
            surface=surface,
            model=model,
            request=request,
            caller_request_id=head.caller_request_id,
            traceparent=trace.traceparent,
            reader=surface.answer_reader(),
            gate=model.gate(arrival.id),
        )
        return exchange, trace

    def _arrive(self, scope: Scope) -> Arrival:
        return Arrival(self.ids.next(), time.time(), time.perf_counter(), _head_of(scope))

    def _target(self, arrival: Arrival, scope: Scope) -> Surface | ModelList:
        target = arrival.head.target
        if target is None:
            target = arrival.head.target = route(scope)
        arrival.surface = MODELS if isinstance(target, ModelList) else target.name
        return target

    def _caller(self, arrival: Arrival, now: float) -> Caller:
        """Say who calls: a key's digests are kept with the head, what it proves is asked anew."""
        proof = arrival.head.proof
        if proof is None:
            proof = arrival.head.proof = self.authenticator.digest(arrival.head.fields)
        return self.authenticator.authenticate(proof, now)

    def use(self, snapshot: Snapshot) -> None:
        """Take what a newer snapshot of the store says, from the next request on."""
        self.authenticator.use(snapshot)
        self.end_users.use(snapshot)
        self.authoriser.use(snapshot)
        self.quotas.use(snapshot)
        self.answers.use(snapshot)
        self.points.use(snapshot)

    def _body_now(self, fields: Fields, scope: Scope) -> bytes | None:
        body_now = scope["extensions"].get(BODY_NOW)
        body: bytes | None = None if body_now is None else body_now()
        if body is not None:
            check_body(fields, len(body), self.limits.max_body_bytes)
        return body

    async def _body(self, fields: Fields, receive: Receive) -> bytes:
        max_bytes, timeout_s = self.limits.max_body_bytes, self.limits.body_timeout_s
        return await read_body(fields, receive, max_bytes=max_bytes, timeout_s=timeout_s)

    def _model(
        self, arrival: Arrival, request: Request, caller: Caller, surface: Surface
    ) -> ServedModel:
        """Find the model that a request is for, as it is for this caller."""
        model = self.models.get(request.model)
        if model is None:
            raise ModelNotFound(f"There is no model {request.model[:128]!r}.", param="model")
        arrival.model = model.name
        of_caller = model.variants
        return model if of_caller is None else of_caller.of(caller.project, surface.name)

    def _check(self, model: ServedModel, request: Request, surface: Surface) -> None:
        """See that the model may be served now, with these parameters."""
        if (reason := self.board.inactive(model.name, time.perf_counter())) is not None:
            raise SafeguardInactive(reason)
        check_parameters(request, surface, strict=model.strict_parameters)

    async def _refuse(self, arrival: Arrival, error: Exception, scope: Scope, send: Send) -> None:
        problems.log_unforeseen(error, arrival.id)
        code = problems.problem_of(error).code
        self.meters.request(arrival.surface, arrival.model, code)
        await problems.send_error(send, error, arrival.headers(), errors_at(scope["path"]))


def _head_of(scope: Scope) -> Head:
    """Read a request's head, or find it read."""
    memo = scope.get(MEMO, {})
    head: Head | None = memo.get(Head)
    if head is None:
        fields: Fields = dict(scope["headers"])
        caller_id = _matching(_CALLER_ID, fields.get(b"x-request-id"))
        traceparent = _matching(_TRACEPARENT, fields.get(b"traceparent"))
        head = memo[Head] = Head(fields, caller_id, traceparent)
    return head


def _matching(pattern: re.Pattern[bytes], given: bytes | None) -> str | None:
    """Return what the caller gave if it is of the form; else it counts as not given."""
    return given.decode() if given is not None and pattern.fullmatch(given) else None
