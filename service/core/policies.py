"""Screening policies: what is held back until it was screened, and what follows from a failure.

A model's policy is its tier's, changed by what the settings say of the tier, then of the model.
"""

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal, Protocol

OnError = Literal["refuse", "release"]
"""What follows when a screen fails or is too slow: nothing is served, or it is and counts as
unscanned."""


class AnswerMode(StrEnum):
    """When the text of an answer is released."""

    OBSERVE = "observe"
    """At once; the workers score it when it has ended."""
    WINDOW = "window"
    """Once it was screened, together with the `window_chars` characters behind it."""
    BUFFER = "buffer"
    """Once the whole answer was screened."""


HOLDING: Final = frozenset({AnswerMode.WINDOW, AnswerMode.BUFFER})


@dataclass(frozen=True, slots=True)
class Policy:
    """How the gateway screens a model."""

    prompt_deadline_s: float
    """How long screening one prompt may take."""
    prompt_on_error: OnError
    answer_mode: AnswerMode
    window_chars: int
    """How much text of a choice stays back in mode `window` while the choice goes on."""
    answer_on_error: OnError

    @property
    def max_unscanned_chars(self) -> int | None:
        """How much text of an answer may be released unscreened; None: all of it."""
        if self.answer_mode in HOLDING and self.answer_on_error == "refuse":
            return 0
        return None


class Changes(Protocol):
    """What settings say of a policy: an attribute for each of its fields, None: no change."""

    @property
    def prompt_deadline_s(self) -> float | None:
        """As in `Policy`."""

    @property
    def prompt_on_error(self) -> OnError | None:
        """As in `Policy`."""

    @property
    def answer_mode(self) -> AnswerMode | None:
        """As in `Policy`."""

    @property
    def window_chars(self) -> int | None:
        """As in `Policy`."""

    @property
    def answer_on_error(self) -> OnError | None:
        """As in `Policy`."""


_WINDOW_CHARS: Final = 400
_DEADLINE_S: Final = 0.05
_OBSERVE: Final = Policy(_DEADLINE_S, "release", AnswerMode.OBSERVE, _WINDOW_CHARS, "release")
_WINDOW: Final = Policy(_DEADLINE_S, "refuse", AnswerMode.WINDOW, _WINDOW_CHARS, "refuse")

DEFAULTS: Final = MappingProxyType({0: _OBSERVE, 1: _OBSERVE, 2: _WINDOW, 3: _WINDOW, 4: _WINDOW})
"""Tier → its policy where the settings say nothing."""


def policy_of(tier: int, *changes: Changes) -> Policy:
    """Return a tier's policy with changes, the later ones over the earlier ones."""
    policy = DEFAULTS[tier]
    for change in changes:
        given = {field.name: getattr(change, field.name) for field in fields(Policy)}
        policy = replace(policy, **{name: v for name, v in given.items() if v is not None})
    return policy
