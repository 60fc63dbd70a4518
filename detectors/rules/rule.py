"""What a rule is, as it stands in a file."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from detectors.api import Category, Part
from detectors.rules.canary import Canary
from detectors.rules.encoded import Kind
from detectors.rules.fuzzy import Signatures


class Form(StrEnum):
    """The form of a text that a pattern is matched against."""

    NORMALISED = "normalised"
    RAW = "raw"


class Flag(StrEnum):
    """What changes the meaning of a pattern."""

    IGNORE_CASE = "ignore_case"
    DOT_ALL = "dot_all"
    MULTI_LINE = "multi_line"


LETTERS: Mapping[Flag, str] = {Flag.IGNORE_CASE: "i", Flag.DOT_ALL: "s", Flag.MULTI_LINE: "m"}


@dataclass(frozen=True, slots=True)
class Fuzzy:
    """Signatures, and how much of one a text contains at least, in (0, 1]."""

    signatures: Signatures
    least: float


@dataclass(frozen=True, slots=True)
class Example:
    """A text that a rule is tried on; an exchange's has a prompt beside it."""

    text: str
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class Tests:
    """What a rule must and must not match."""

    match: tuple[Example, ...]
    no_match: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. It matches where any of its matchers does."""

    id: str
    category: Category
    parts: tuple[Part, ...]
    description: str
    probability: float
    tests: Tests
    pattern: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()
    text: Form = Form.NORMALISED
    prompt_pattern: str = ""
    unless_in_prompt: bool = False
    secret: tuple[str, ...] = ()
    encoded: tuple[Kind, ...] = ()
    fuzzy: Fuzzy | None = None
    canary: Canary | None = None

    def flagged(self, pattern: str) -> str:
        """Return a pattern with the rule's flags in RE2's own syntax."""
        letters = "".join(LETTERS[flag] for flag in self.flags)
        return f"(?{letters}:{pattern})" if letters else pattern
