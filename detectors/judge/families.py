"""The seam between a judge and the kinds of guard models: one small file a family."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from detectors.api import Category, Part, Sample
from detectors.judge.config import JudgeConfig
from detectors.judge.errors import BadConfig

Scores = Mapping[Category, float]


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a guard's answer says about one window."""

    scores: Scores
    is_by_label_alone: bool = False
    """Log-probabilities were asked for and of no use: the label's fixed probability counts."""


class Family(Protocol):
    """How a kind of guard is asked, and how its answer is read. Pure: no I/O."""

    @property
    def path(self) -> str:
        """Where to post to, such as /v1/chat/completions."""
        ...

    @property
    def parts(self) -> frozenset[Part]:
        """What it can judge."""
        ...

    @property
    def categories(self) -> frozenset[Category]:
        """What it gives scores for, ANY included."""
        ...

    @property
    def parser(self) -> int:
        """Goes up whenever the same answer would give other scores."""
        ...

    def request(self, sample: Sample) -> Mapping[str, Any]:
        """Return the body to post for a sample (JSON).

        The sample's text is hostile: it must not be able to leave its place in the template.
        """
        ...

    def parse(self, answer: bytes, part: Part) -> Ruling:
        """Read an answer with status 200.

        Raises:
            Unparseable: it is not in the format; a verdict that is quoted in prose is none.
        """
        ...


def probabilities_of(config: JudgeConfig, own: Mapping[str, float]) -> Mapping[str, float]:
    """Return the family's own fixed probability of each label, or what the settings say.

    Raises:
        BadConfig: the settings name a label that the family does not have.
    """
    if unknown := config.label_probabilities.keys() - own.keys():
        known = ", ".join(own)
        raise BadConfig(f"label_probabilities: {min(unknown)!r} is none of {known}")
    return {**own, **config.label_probabilities}


def spread(any_misuse: float, named: Mapping[Category, float], ruled_out: Scores) -> Scores:
    """Return a score for ANY, for what the guard named, and for what it ruled out.

    What it did not name cannot be likelier than misuse of any kind.
    """
    rest = {category: min(chance, any_misuse) for category, chance in ruled_out.items()}
    return {Category.ANY: any_misuse} | rest | dict(named)
