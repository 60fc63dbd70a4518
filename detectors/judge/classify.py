"""A sequence classifier behind vLLM's /classify (`vllm serve MODEL --runner pooling`).

Source of the format: `vllm/entrypoints/pooling/classify/` of vLLM 0.32. The body is
`{"model", "input"}`; the answer is `{"data": [{"label", "probs", "num_classes"}], "usage"}`, where
`label` is the likeliest of id2label and `probs` has one number a class. The path is /classify, not
under /v1, so vLLM's --api-key does not guard it.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from detectors.api import Category, Part, Sample
from detectors.judge.config import JudgeConfig
from detectors.judge.errors import BadConfig, Unparseable
from detectors.judge.families import Ruling, Scores
from detectors.judge.neutral import without_tokens

SUM_TOLERANCE: Final = 0.01
"""Probabilities of half precision add up to 1 within this."""


class Classified(msgspec.Struct):
    """Of one text."""

    probs: list[float]
    label: str | None = None


class ClassifyReply(msgspec.Struct):
    """The answer."""

    data: list[Classified]


class Classify:
    """Gives ANY and each category that a label stands for; the other labels are benign."""

    path = "/classify"
    parts = frozenset({Part.PROMPT, Part.ANSWER})
    parser = 1

    def __init__(self, config: JudgeConfig) -> None:
        """Raise BadConfig unless labels and categories fit."""
        if not config.labels or len(set(config.labels)) != len(config.labels):
            raise BadConfig("labels: list the model's labels, in the order of its id2label")
        if not config.categories or not config.categories.keys() <= set(config.labels):
            raise BadConfig("categories: map at least one of labels, and nothing else")
        if len(config.categories) == len(config.labels) and not config.is_multi_label:
            raise BadConfig("categories: leave out the benign label, or set is_multi_label")
        self._config = config

    @property
    def categories(self) -> frozenset[Category]:
        """ANY and whatever the labels stand for."""
        return frozenset({Category.ANY, *self._config.categories.values()})

    def request(self, sample: Sample) -> Mapping[str, Any]:
        """Send the text alone: vLLM refuses what is too long, as no truncation is asked for."""
        return {"model": self._config.model, "input": [without_tokens(sample.text)]}

    def parse(self, answer: bytes, part: Part) -> Ruling:  # noqa: ARG002  (all parts alike)
        """Read the probabilities of the one text."""
        try:
            reply = msgspec.json.decode(answer, type=ClassifyReply)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise Unparseable("the guard's answer is none of /classify") from None
        if len(reply.data) != 1:
            raise Unparseable(f"{len(reply.data)} results came for one text")
        self._check(reply.data[0])
        return Ruling(self._scores(reply.data[0].probs))

    def _check(self, found: Classified) -> None:
        labels, probs = self._config.labels, found.probs
        if len(probs) != len(labels):
            raise Unparseable(f"{len(probs)} classes came, and labels has {len(labels)}")
        if not all(0.0 <= it <= 1.0 for it in probs):
            raise Unparseable("probabilities from 0 to 1 were expected: is the activation off?")
        if not self._config.is_multi_label and abs(math.fsum(probs) - 1.0) > SUM_TOLERANCE:
            raise Unparseable("probabilities do not add up to 1: set is_multi_label?")
        if found.label is not None and found.label != labels[probs.index(max(probs))]:
            raise Unparseable("labels are not in the order of the model's id2label")

    def _scores(self, probs: list[float]) -> Scores:
        """Add up the labels of a category; where each stands for itself, the highest counts."""
        of_category: dict[Category, list[float]] = {it: [] for it in self.categories}
        for label, chance in zip(self._config.labels, probs, strict=True):
            if category := self._config.categories.get(label):
                of_category[Category.ANY].append(chance)
                if category is not Category.ANY:
                    of_category[category].append(chance)
        together = max if self._config.is_multi_label else math.fsum
        return {category: min(together(it), 1.0) for category, it in of_category.items()}
