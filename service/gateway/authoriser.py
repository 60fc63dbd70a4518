"""Who may do what: the decision of core/access.py, with what the process knows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from service.core.access import (
    Deny,
    EndUserProof,
    ModelTerms,
    Reason,
    Terms,
    authorise,
    standing_of,
    terms_of,
)
from service.core.addresses import Address, Network, source_address
from service.core.callers import Caller
from service.core.directory import NO_RULES, Snapshot
from service.core.surfaces.asks import Ask, ask_of
from service.core.surfaces.shape import Request, Surface
from service.errors import (
    AccountSuspended,
    AddressNotAllowed,
    InvalidRequest,
    ModelNotAllowed,
    Refusal,
    SurfaceNotAllowed,
)
from service.gateway.asgi import Scope

_OPEN: Final = Terms()
_NOTHING_ASKED: Final = Ask(prompt_bytes=0)
_FORWARDED_FOR: Final = b"x-forwarded-for"
_MAX_REMEMBERED: Final = 50_000

OnDenied = Callable[[Caller, str, str, Sequence[Reason]], None]
"""Told of a refusal: the caller, the model's name, the surface's, all reasons."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A request may be served."""

    max_tokens: int | None = None
    """What its answer is to be bounded to; None: as the request says."""


_GRANTED: Final = Grant()


class Authoriser:
    """Decides on requests; `use` is called with each new snapshot."""

    def __init__(self, trusted_proxies: Sequence[Network], on_denied: OnDenied) -> None:
        """Know nothing of anyone yet."""
        self._trusted = trusted_proxies
        self._on_denied = on_denied
        self._snapshot = Snapshot()
        self._terms: dict[tuple[str, str, str, frozenset[str]], Terms] = {}

    def use(self, snapshot: Snapshot) -> None:
        """Take what a newer snapshot says."""
        self._snapshot = snapshot
        self._terms.clear()

    def may_use(self, caller: Caller, model: ModelTerms) -> bool:
        """Say whether a caller may use a model at all."""
        return not self._terms_of(caller, model).against

    def authorise(  # noqa: PLR0913, PLR0917  (what a decision is made of)
        self,
        caller: Caller,
        model: ModelTerms,
        surface: Surface,
        request: Request,
        end_user: EndUserProof | None,
        scope: Scope,
    ) -> Grant:
        """Let a request be served.

        Raises:
            AccountSuspended, AddressNotAllowed, ModelNotAllowed, SurfaceNotAllowed, InvalidRequest:
                what speaks against it most.
        """
        terms = self._terms_of(caller, model)
        if terms is _OPEN and not self._snapshot.standings:
            return _GRANTED
        standing = standing_of(self._snapshot, caller)
        ask = ask_of(request, surface) if terms.bounds_request else _NOTHING_ASKED
        source = self._source(scope) if terms.networks else None
        decision = authorise(terms, standing, surface.name, ask, end_user, source)
        if isinstance(decision, Deny):
            self._on_denied(caller, model.name, surface.name, decision.reasons)
            raise _refusal(decision, terms, model, surface)
        return _GRANTED if decision.max_tokens is None else Grant(decision.max_tokens)

    def _terms_of(self, caller: Caller, model: ModelTerms) -> Terms:
        key = (caller.key_id, caller.project, model.name, caller.entitlements)
        terms = self._terms.get(key)
        if terms is None:
            if len(self._terms) >= _MAX_REMEMBERED:
                self._terms.clear()
            project = self._snapshot.projects.get(caller.project)
            rules = (NO_RULES if project is None else project.rules, caller.rules)
            terms = terms_of(caller, model, rules)
            terms = self._terms[key] = _OPEN if terms == _OPEN else terms
        return terms

    def _source(self, scope: Scope) -> Address | None:
        forwarded = [
            value.decode("latin-1") for name, value in scope["headers"] if name == _FORWARDED_FOR
        ]
        client = scope.get("client")
        return source_address(client[0] if client else "", forwarded, self._trusted)


def _refusal(deny: Deny, terms: Terms, model: ModelTerms, surface: Surface) -> Refusal:
    """Return what tells the caller of the one reason that it is told."""
    name = model.name
    match deny.reason:
        case Reason.ACCOUNT_SUSPENDED:
            return AccountSuspended("The account is suspended.")
        case Reason.ADDRESS:
            return AddressNotAllowed("Requests with this key may not come from this address.")
        case Reason.MODEL | Reason.ADAPTER:
            return ModelNotAllowed(f"This key may not use the model {name!r}.", param="model")
        case Reason.ENTITLEMENT:
            lacks = ", ".join(sorted(terms.missing))
            words = f"The model {name!r} asks for entitlements that this key lacks: {lacks}."
            return ModelNotAllowed(words, param="model")
        case Reason.SURFACE:
            return SurfaceNotAllowed(f"This key may not use {surface.path}.")
        case reason:
            return _bad_request(reason, terms, surface)


def _bad_request(reason: Reason, terms: Terms, surface: Surface) -> InvalidRequest:
    """Return what tells the caller that the request would have to be another one."""
    end_user = next(iter(surface.end_user_fields), "OpenAI-Safety-Identifier")
    if end_user == "metadata":
        end_user = "metadata.user_id"
    match reason:
        case Reason.END_USER:
            words = f"This model asks for the id of the end user: send it as {end_user!r}."
            return InvalidRequest(words, param=end_user)
        case Reason.END_USER_UNSIGNED:
            words = f"This model asks for an id of the end user that is signed: {end_user!r}."
            return InvalidRequest(words, param=end_user)
        case Reason.TOOLS:
            return InvalidRequest("This key may not bring tools.", param="tools")
        case Reason.MAX_TOKENS:
            field = surface.max_tokens_fields[0]
            words = f"{field!r} may be at most {terms.max_tokens} with this key."
            return InvalidRequest(words, param=field)
        case Reason.CHOICES:
            words = f"At most {terms.max_choices} answers may be asked for with this key."
            return InvalidRequest(words, param="n")
        case _:
            words = f"The request may have at most {terms.max_prompt_bytes} bytes with this key."
            return InvalidRequest(words)
