"""Which safeguards are proved active: decisions from facts, nothing else."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from service.core.tiers import TIERS, Safeguard


@dataclass(frozen=True, slots=True)
class Watched:
    """A model, and which safeguards are looked at for it."""

    model: str
    tier: int
    probes_required: bool | None = None
    """Whether it is served only while probes tell; None: its upstream has none."""

    @property
    def required(self) -> frozenset[Safeguard]:
        """Those that it is not served without."""
        of_tier = TIERS[self.tier].requires
        return of_tier | {Safeguard.PROBES} if self.probes_required else of_tier

    @property
    def shown(self) -> frozenset[Safeguard]:
        """Those that are told of: all that are required, and probes wherever there are some."""
        has_some = self.probes_required is not None
        return self.required | {Safeguard.PROBES} if has_some else self.required


@dataclass(frozen=True, slots=True)
class ProbesTold:
    """How many of an upstream's replicas tell what their probes see."""

    plugins: int
    """They tell this gateway process at this moment."""
    replicas: int
    """All of the settings, also those that are down: no plugin says which replica it is in."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a gateway knows of its safeguards, at one moment."""

    journal_accepts: bool
    """The journal has room and has not failed."""
    snapshot_age_s: float | None
    """Since the store was last heard of, be it by this process or by the one whose copy it
    started from; None: never."""
    staleness_bounds_s: Sequence[float]
    """How old the word of the store may be, for each tier."""
    screener_silent_s: float | None
    """Since the screener's last sign of life, up to when the store was last heard of: while it is
    away no sign could be seen. None: there was none."""
    screening_lag_s: float | None
    """Age of the oldest record not known to be screened; None: unknown."""
    probes: Mapping[str, ProbesTold]
    """By model, of those whose upstream has probes."""


ALWAYS_ACTIVE: Final = frozenset(
    {
        Safeguard.PARAMETERS,
        Safeguard.CHAT_TEMPLATE,
        Safeguard.ANSWER_WINDOW,
        Safeguard.END_USER_IDS,
        Safeguard.ADAPTERS,
    }
)
"""Part of every request's way: settings that turn them off are refused."""

SCREENER_SILENCE_S = 60.0
"""A screener that was silent for so long is not active. It beats every few seconds."""


def inactive_safeguards(watched: Watched, facts: Facts) -> Iterator[tuple[Safeguard, str]]:
    """Yield each safeguard that is shown and not proved active, with the reason in words."""
    for safeguard in Safeguard:
        if safeguard in watched.shown and (reason := _why_inactive(safeguard, watched, facts)):
            yield safeguard, reason


def _why_inactive(safeguard: Safeguard, watched: Watched, facts: Facts) -> str | None:
    tier = watched.tier
    match safeguard:
        case Safeguard.EVIDENCE:
            return None if facts.journal_accepts else "the journal takes no new exchange"
        case Safeguard.AUTHENTICATION | Safeguard.STORE:
            is_any_age_good = safeguard is Safeguard.AUTHENTICATION  # it needs to know keys at all
            bound_s = math.inf if is_any_age_good else facts.staleness_bounds_s[tier]
            return _stale_snapshot(facts, bound_s)
        case Safeguard.PROMPT_SCREEN | Safeguard.ANSWER_SCREEN:
            return _silent_screener(facts)
        case Safeguard.SCREENING_LAG:
            return _late_screening(tier, facts)
        case Safeguard.PROBES:
            return _silent_probes(facts.probes.get(watched.model))
        case _:
            return None if safeguard in ALWAYS_ACTIVE else "this version does not have it"


def _stale_snapshot(facts: Facts, bound_s: float) -> str | None:
    if facts.snapshot_age_s is None:
        return "the store has not been read yet"
    if facts.snapshot_age_s > bound_s:
        return (
            f"the store was last heard of {facts.snapshot_age_s:.0f} s ago, "
            f"over the tier's {bound_s:g} s"
        )
    return None


def _silent_screener(facts: Facts) -> str | None:
    if facts.screener_silent_s is None:
        return "no screener has given a sign of life"
    if facts.screener_silent_s > SCREENER_SILENCE_S:
        return f"the screener was last heard of {facts.screener_silent_s:.0f} s ago"
    return None


def _late_screening(tier: int, facts: Facts) -> str | None:
    bound = TIERS[tier].max_screening_lag_s
    if bound is None:
        return None
    if facts.screening_lag_s is None:
        return "how late the screening is, is unknown"
    if facts.screening_lag_s > bound:
        return f"the screening is {facts.screening_lag_s:.0f} s late, over the tier's {bound:.0f} s"
    return None


def _silent_probes(told: ProbesTold | None) -> str | None:
    if told is None:
        return "its upstream has no probes"
    if told.plugins < told.replicas:
        verb, whose = ("tells", "its") if told.plugins == 1 else ("tell", "their")
        return f"{told.plugins} of {told.replicas} replicas {verb} what {whose} probes see"
    return None
