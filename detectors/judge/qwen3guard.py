"""Qwen3Guard-Gen: a guard whose chat template holds its own policy and nine categories.

Source of the format: the README of QwenLM/Qwen3Guard and the chat template of
Qwen/Qwen3Guard-Gen-0.6B. A prompt is sent as the user's message, an answer as the assistant's
after it; the guard says "Safety: Safe|Unsafe|Controversial", "Categories: A, B" or "None", and for
an answer "Refusal: Yes|No", a line each. The template puts the whole conversation, in plain words
(`USER: `, `<END CONVERSATION>`), into one message, and asks about the last turn: a text with
such a line could add a last turn of its own, so those are broken as special tokens are.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from detectors.api import Category, Part, Sample
from detectors.judge.chat import TOP_LOGPROBS, label_chances, read_chat
from detectors.judge.config import JudgeConfig
from detectors.judge.errors import Unparseable
from detectors.judge.families import Ruling, probabilities_of, spread
from detectors.judge.neutral import without_roles

CATEGORIES: Final[Mapping[str, Category]] = {
    "Violent": Category.VIOLENCE,
    "Non-violent Illegal Acts": Category.OTHER,
    "Sexual Content or Sexual Acts": Category.SEXUAL,
    "PII": Category.PRIVACY,
    "Personally Identifiable Information": Category.PRIVACY,
    "Suicide & Self-Harm": Category.SELF_HARM,
    "Unethical Acts": Category.HATE,
    "Politically Sensitive Topics": Category.OTHER,
    "Copyright Violation": Category.OTHER,
    "Jailbreak": Category.JAILBREAK,
}
"""Its categories → ours, the nearest of each: several of ours have no likeness there."""
LABEL_PROBABILITIES: Final = {"Safe": 0.05, "Controversial": 0.5, "Unsafe": 0.95}
"""For want of log-probabilities. Round figures, not calibrated by any measurement."""
MAX_TOKENS: Final = 128
NO_QUERY: Final = "(The query is not shown.)"

_LABELS: Final = tuple(LABEL_PROBABILITIES)
_FORM: Final = re.compile(
    r"\s*Safety: (Safe|Unsafe|Controversial)\s*\nCategories: ([^\n]+?)\s*"
    r"(?:\nRefusal: (Yes|No)\s*)?"
)


class Qwen3Guard:
    """Gives ANY and each category that the guard names."""

    path = "/v1/chat/completions"
    parts = frozenset(Part)
    parser = 1

    def __init__(self, config: JudgeConfig) -> None:
        """Keep the settings."""
        self._config = config
        self._named = {**CATEGORIES, **config.categories}
        self._probabilities = probabilities_of(config, LABEL_PROBABILITIES)

    @property
    def categories(self) -> frozenset[Category]:
        """ANY and whatever its categories stand for."""
        return frozenset({Category.ANY, *self._named.values()})

    def request(self, sample: Sample) -> Mapping[str, Any]:
        """Send the text in the role that wrote it; the template does the rest."""
        text = without_roles(sample.text)
        messages = [{"role": "user", "content": text}]
        if sample.part is not Part.PROMPT:
            asked = without_roles(sample.prompt) if sample.part is Part.EXCHANGE else NO_QUERY
            messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": text}]
        body: dict[str, Any] = {
            "model": self._config.model,
            "messages": messages,
            "temperature": 0,
            "seed": 0,
            "max_tokens": self._config.max_tokens or MAX_TOKENS,
        }
        if self._config.use_logprobs:
            body |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
        return body

    def parse(self, answer: bytes, part: Part) -> Ruling:
        """Read the lines that are the whole answer."""
        said, tokens = read_chat(answer)
        found = _FORM.fullmatch(said)
        if not found or (found[3] is None) != (part is Part.PROMPT):
            raise Unparseable("the guard's answer is not in the form of Qwen3Guard-Gen")
        named = self._categories(found[2])
        if found[1] == "Unsafe" and not named:
            raise Unparseable("the guard's answer is Unsafe and names no category")
        chances = (
            label_chances(said, found.start(1), tokens, _LABELS)
            if self._config.use_logprobs
            else None
        )
        score = self._score(found[1], chances)
        ruled_out = dict.fromkeys(self._asked_about(part), self._probabilities["Safe"])
        return Ruling(
            spread(score, dict.fromkeys(named - {Category.ANY}, score), ruled_out),
            is_by_label_alone=self._config.use_logprobs and chances is None,
        )

    def _score(self, label: str, chances: Mapping[str, float] | None) -> float:
        if chances is None:
            return self._probabilities[label]
        score = chances["Unsafe"] + chances["Controversial"] * self._probabilities["Controversial"]
        return min(score, 1.0)

    def _categories(self, line: str) -> frozenset[Category]:
        names = [name.strip().rstrip(".") for name in line.split(",")]
        if names == ["None"]:
            return frozenset()
        if not set(names) <= self._named.keys():
            raise Unparseable("the guard's answer has a category that is unknown: see categories")
        return frozenset(self._named[name] for name in names)

    def _asked_about(self, part: Part) -> frozenset[Category]:
        """Return what the template asks about: of an answer all but `Jailbreak`."""
        labels = self._named.items()
        asked = {it for label, it in labels if part is Part.PROMPT or label != "Jailbreak"}
        return frozenset(asked - {Category.ANY})
