"""How much a request takes of its limits: reserved when it comes, settled when it has ended."""

from service.core.callers import Caller
from service.core.directory import Snapshot
from service.core.limits import Counters, counters_of, tokens_bound
from service.core.surfaces.asks import ask_of
from service.core.surfaces.shape import Request, Surface
from service.errors import InvalidRequest
from service.gateway.exchange import Exchange, ServedModel
from service.gateway.limiter import NO_PERMIT, Limiter, Permit
from service.gateway.relay import OK

_MAX_REMEMBERED = 50_000


class Quotas:
    """Says which limits a request is under; `use` is called with each new snapshot."""

    def __init__(self, limiter: Limiter) -> None:
        """Know of no limit yet."""
        self._limiter = limiter
        self._snapshot = Snapshot()
        self._counters: dict[tuple[str, str, str], Counters] = {}

    def use(self, snapshot: Snapshot) -> None:
        """Take what a newer snapshot says."""
        self._snapshot = snapshot
        self._counters.clear()

    async def admit(
        self,
        caller: Caller,
        model: ServedModel,
        surface: Surface,
        request: Request,
        max_tokens: int | None,
    ) -> Permit:
        """Reserve what a request may take; `max_tokens` bounds its answer where it does not.

        Raises:
            RateLimitExceeded, BudgetExceeded, SafeguardInactive: as `Limiter.admit`.
            InvalidRequest: its tokens are limited, and it says not how many it asks for.
        """
        if not self._snapshot.limits:
            return NO_PERMIT
        counters = self._counters_of(caller, model.name)
        if not counters:
            return NO_PERMIT
        tokens = _tokens(counters, model, surface, request, max_tokens)
        return await self._limiter.admit(counters, tokens, model.tier.number)

    def settle(self, permit: Permit, exchange: Exchange | None, outcome: str) -> None:
        """Give back what was not used; None: the request never became an exchange."""
        if permit is not NO_PERMIT:
            used = 0 if exchange is None else _used(permit, exchange, outcome)
            self._limiter.settle(permit, used)

    def _counters_of(self, caller: Caller, model: str) -> Counters:
        key = (caller.key_id, caller.account, model)
        counters = self._counters.get(key)
        if counters is None:
            if len(self._counters) >= _MAX_REMEMBERED:
                self._counters.clear()
            counters = self._counters[key] = counters_of(self._snapshot, caller, model)
        return counters


def _tokens(
    counters: Counters,
    model: ServedModel,
    surface: Surface,
    request: Request,
    max_tokens: int | None,
) -> int:
    if not surface.costs_tokens or not any(counter.in_tokens for counter in counters):
        return 0
    ask = ask_of(request, surface)
    longest = max_tokens if ask.max_tokens is None else ask.max_tokens
    try:
        return tokens_bound(ask.prompt_bytes, longest, ask.choices, model.context_tokens)
    except ValueError:
        field = surface.max_tokens_fields[0]
        raise InvalidRequest(
            f"Tokens are limited here: say with {field!r} how many the answer may have.",
            param=field,
        ) from None


def _used(permit: Permit, exchange: Exchange, outcome: str) -> int | None:
    """Return how many tokens an exchange took, or no fewer; None: nobody can tell.

    A token is at least one byte, of the prompt as of what came of the answer. An upstream that was
    asked and had not answered yet when the caller left may have made a whole answer.
    """
    usage, status = exchange.reader.usage, exchange.status
    if not exchange.surface.costs_tokens:
        return 0
    if status is None and exchange.replica is not None and outcome != "upstream_unavailable":
        return None
    if status != OK:
        return 0
    if usage is not None and outcome == "completed":
        return max(0, usage.prompt_tokens) + max(0, usage.completion_tokens or 0)
    came = len(exchange.request.body) + len(exchange.reader.content())
    return min(permit.tokens, came)
