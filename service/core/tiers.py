"""Tiers: what a model's risk asks of the gateway before it may be served. See docs/tiers.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Literal

from service.core.directory import Entitlement

MAX_TIER: Final = 4

EndUsers = Literal["optional", "required", "signed"]
"""Whether requests name their end user, and whether the caller's project signs for the name."""


class Safeguard(StrEnum):
    """A control that can be proved active; the names are metric labels and error texts."""

    AUTHENTICATION = "authentication"
    STORE = "store"
    EVIDENCE = "evidence"
    PARAMETERS = "parameter_allow_list"
    PROMPT_SCREEN = "prompt_screen"
    ANSWER_SCREEN = "answer_screen"
    CHAT_TEMPLATE = "chat_template"
    SCREENING_LAG = "screening_lag"
    ANSWER_WINDOW = "answer_window"
    END_USER_IDS = "end_user_ids"
    ADAPTERS = "adapter_allow_list"
    PROBES = "probes"
    VERIFIED_IDENTITY = "verified_identity"
    ACCOUNT_MONITORING = "account_monitoring"
    REVIEW = "review"
    LEASE = "lease"
    NAMED_USERS = "named_users"
    TWO_PERSONS = "two_person_enablement"
    NO_EGRESS = "no_egress_tools"
    ATTESTATION = "attestation"


BUILT: Final = frozenset(
    {
        Safeguard.AUTHENTICATION,
        Safeguard.STORE,
        Safeguard.EVIDENCE,
        Safeguard.PARAMETERS,
        Safeguard.PROMPT_SCREEN,
        Safeguard.ANSWER_SCREEN,
        Safeguard.CHAT_TEMPLATE,
        Safeguard.SCREENING_LAG,
        Safeguard.ANSWER_WINDOW,
        Safeguard.END_USER_IDS,
        Safeguard.ADAPTERS,
        Safeguard.PROBES,
    }
)
"""What this version can prove active. A tier that needs more is refused by the settings."""


@dataclass(frozen=True, slots=True)
class Tier:
    """What a tier requires to serve."""

    number: int
    name: str
    requires: frozenset[Safeguard]
    evidence: Literal["written", "synced"]
    """The level that `opened` reaches before the first byte of an answer is released, and
    `closed` before the last."""
    strict_parameters: bool
    """Unknown parameters are refused; else only those that reach into the engine are."""
    max_screening_lag_s: float | None
    """Older unscreened exchanges stop the model from being served; None: no bound."""
    end_users: EndUsers = "optional"
    ends_answers: bool = False
    """Answers under way end when their key is revoked or their account suspended."""
    entitlements: frozenset[str] = frozenset()
    """Those that a caller must have."""

    @property
    def max_store_staleness_s(self) -> float:
        """How long a model is served after the store was last heard of, unless settings change it.

        What was revoked or suspended since then is not known.
        """
        return _MAX_STORE_STALENESS_S[self.number]


_MAX_STORE_STALENESS_S: Final = (86_400.0, 3_600.0, 300.0, 60.0, 60.0)


def _tiers() -> tuple[Tier, ...]:
    s = Safeguard
    open_ = frozenset({s.AUTHENTICATION, s.STORE, s.EVIDENCE, s.PARAMETERS})
    baseline = open_ | {s.PROMPT_SCREEN, s.ANSWER_SCREEN, s.CHAT_TEMPLATE, s.SCREENING_LAG}
    elevated = baseline | {s.ANSWER_WINDOW, s.END_USER_IDS, s.ADAPTERS}
    high = elevated | {s.VERIFIED_IDENTITY, s.ACCOUNT_MONITORING, s.REVIEW, s.LEASE}
    restricted = high | {s.NAMED_USERS, s.TWO_PERSONS, s.NO_EGRESS, s.ATTESTATION}
    strict = Tier(
        2,
        "elevated",
        elevated,
        "synced",
        strict_parameters=True,
        max_screening_lag_s=60,
        end_users="required",
        ends_answers=True,
    )
    verified = frozenset({Entitlement.IDENTITY_VERIFIED})
    named = verified | {Entitlement.TRUSTED_ACCESS, Entitlement.NAMED_USER}
    return (
        Tier(0, "open", open_, "written", strict_parameters=False, max_screening_lag_s=None),
        Tier(1, "baseline", baseline, "written", strict_parameters=True, max_screening_lag_s=300),
        strict,
        replace(strict, number=3, name="high", requires=high, entitlements=verified),
        replace(strict, number=4, name="restricted", requires=restricted, entitlements=named),
    )


TIERS: Final = _tiers()


def staleness_bounds(changes: Mapping[int, float]) -> Sequence[float]:
    """Return for each tier how old the word of the store may be, with the changes that are set."""
    return [changes.get(tier.number, tier.max_store_staleness_s) for tier in TIERS]


def unbuilt_safeguards(tier: int) -> list[Safeguard]:
    """Name what the tier requires and this version cannot prove, in order of definition."""
    return [s for s in Safeguard if s in TIERS[tier].requires and s not in BUILT]
