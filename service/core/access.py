"""Who may ask what of which model: one decision, from values.

`terms_of` works out once what a caller may do with a model; `authorise` decides on a request.
docs/access.md holds the whole of it as a table, which the tests compare with this file.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

from service.core.addresses import Address, Network, is_within, networks_of
from service.core.callers import Caller
from service.core.directory import Rules, Snapshot, Standing
from service.core.surfaces.asks import Ask
from service.core.tiers import TIERS, EndUsers

EndUserProof = Literal["named", "signed"]
"""How a request tells its end user: by a name that is the caller's word, or signed by the caller's
project."""

ANY_MODEL: Final = "*"
"""In a list of models: all but adapters."""


class Reason(StrEnum):
    """What speaks against a request. The caller is told the first, in this order."""

    ACCOUNT_SUSPENDED = "account_suspended"
    ADDRESS = "address_not_allowed"
    MODEL = "model_not_allowed"
    ADAPTER = "adapter_not_listed"
    ENTITLEMENT = "entitlement_missing"
    SURFACE = "surface_not_allowed"
    END_USER = "end_user_missing"
    END_USER_UNSIGNED = "end_user_not_signed"
    TOOLS = "tools_not_allowed"
    MAX_TOKENS = "max_tokens_over_cap"
    CHOICES = "choices_over_cap"
    PROMPT = "prompt_over_cap"


@dataclass(frozen=True, slots=True)
class ModelTerms:
    """What is asked of whoever uses a model."""

    name: str
    tier: int
    is_adapter: bool = False
    entitlements: frozenset[str] = frozenset()
    """Those that the settings ask for, beyond the tier's."""
    end_users: EndUsers = "optional"


@dataclass(frozen=True, slots=True)
class Terms:
    """What one caller may do with one model, as far as no request is needed to say it."""

    against: tuple[Reason, ...] = ()
    """What speaks against whatever it asks."""
    missing: frozenset[str] = frozenset()
    """The entitlements that it lacks."""
    surfaces: frozenset[str] | None = None
    networks: tuple[tuple[Network, ...], ...] = ()
    """The source must be of one network in each."""
    end_users: EndUsers = "optional"
    tools: bool = True
    max_tokens: int | None = None
    max_choices: int | None = None
    max_prompt_bytes: int | None = None
    bounds_request: bool = field(init=False)
    """What the request asks for has to be read to decide."""

    def __post_init__(self) -> None:
        """Work out whether the request matters."""
        caps = (self.max_tokens, self.max_choices, self.max_prompt_bytes)
        bounds = not self.tools or any(cap is not None for cap in caps)
        object.__setattr__(self, "bounds_request", bounds)


@dataclass(frozen=True, slots=True)
class Allow:
    """The request may be served."""

    max_tokens: int | None = None
    """What its answer is bounded to, where it bounds nothing and a rule does."""


@dataclass(frozen=True, slots=True)
class Deny:
    """The request may not be served."""

    reasons: tuple[Reason, ...]
    """All that speaks against it, for the audit log; the caller is told the first."""

    @property
    def reason(self) -> Reason:
        """What the caller is told."""
        return self.reasons[0]


_ALLOW: Final = Allow()


def terms_of(caller: Caller, model: ModelTerms, rules: Sequence[Rules]) -> Terms:
    """Work out what a caller may do with a model, under the rules of its project and its key."""
    missing = (model.entitlements | TIERS[model.tier].entitlements) - caller.entitlements
    against = [*_models_against(model, rules), *([Reason.ENTITLEMENT] if missing else [])]
    return Terms(
        against=tuple(against),
        missing=missing,
        surfaces=_narrowest(it.surfaces for it in rules),
        networks=tuple(networks_of(it.addresses) for it in rules if it.addresses is not None),
        end_users=model.end_users,
        tools=all(it.tools is not False for it in rules),
        max_tokens=_least(it.max_tokens for it in rules),
        max_choices=_least(it.max_choices for it in rules),
        max_prompt_bytes=_least(it.max_prompt_bytes for it in rules),
    )


def authorise(  # noqa: PLR0913, PLR0917  (what a decision is made of)
    terms: Terms,
    standing: Standing,
    surface: str,
    ask: Ask,
    end_user: EndUserProof | None,
    source: Address | None,
) -> Allow | Deny:
    """Decide on a request.

    `end_user` says how it tells its end user; None: not at all. `source` is where it comes from;
    None: that cannot be told.
    """
    if reasons := tuple(_against(terms, standing, surface, ask, end_user, source)):
        return Deny(tuple(sorted(reasons, key=_ORDER.__getitem__)))
    if terms.max_tokens is not None and ask.max_tokens is None:
        return Allow(terms.max_tokens)
    return _ALLOW


def standing_of(snapshot: Snapshot, caller: Caller) -> Standing:
    """Return the worse standing of the caller's account and of the project that it is within."""
    standings = snapshot.standings
    if not standings:
        return Standing.GOOD
    found = [standings.get(it, Standing.GOOD) for it in (caller.account, caller.project)]
    return max(found, key=_SEVERITY.index)


_SEVERITY: Final = list(Standing)
_ORDER: Final = {reason: place for place, reason in enumerate(Reason)}


def _models_against(model: ModelTerms, rules: Sequence[Rules]) -> Iterable[Reason]:
    lists = [it.models for it in rules if it.models is not None]
    if model.is_adapter:
        if not lists or not all(model.name in names for names in lists):
            yield Reason.ADAPTER
    elif not all(model.name in names or ANY_MODEL in names for names in lists):
        yield Reason.MODEL


def _against(  # noqa: PLR0913, PLR0917  (as `authorise`)
    terms: Terms,
    standing: Standing,
    surface: str,
    ask: Ask,
    end_user: EndUserProof | None,
    source: Address | None,
) -> Iterable[Reason]:
    yield from terms.against
    if standing is Standing.SUSPENDED:
        yield Reason.ACCOUNT_SUSPENDED
    if not all(is_within(source, networks) for networks in terms.networks):
        yield Reason.ADDRESS
    if terms.surfaces is not None and surface not in terms.surfaces:
        yield Reason.SURFACE
    if terms.end_users != "optional" and end_user is None:
        yield Reason.END_USER
    elif terms.end_users == "signed" and end_user != "signed":
        yield Reason.END_USER_UNSIGNED
    if terms.bounds_request:
        yield from _asks_too_much(terms, ask)


def _asks_too_much(terms: Terms, ask: Ask) -> Iterable[Reason]:
    if ask.tools and not terms.tools:
        yield Reason.TOOLS
    if _is_over(ask.max_tokens, terms.max_tokens):
        yield Reason.MAX_TOKENS
    if _is_over(ask.choices, terms.max_choices):
        yield Reason.CHOICES
    if _is_over(ask.prompt_bytes, terms.max_prompt_bytes):
        yield Reason.PROMPT


def _is_over(asked: int | None, cap: int | None) -> bool:
    return asked is not None and cap is not None and asked > cap


def _least(caps: Iterable[int | None]) -> int | None:
    return min((cap for cap in caps if cap is not None), default=None)


def _narrowest(lists: Iterable[Sequence[str] | None]) -> frozenset[str] | None:
    given = [frozenset(names) for names in lists if names is not None]
    return frozenset.intersection(*given) if given else None
