"""What a judge has used: requests, tokens, seconds, errors by kind, cost."""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from detectors.judge.errors import KINDS

TOKENS_PER_PRICE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Totals:
    """Since the judge was made."""

    requests: int
    """HTTP requests, retries included."""
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    """Of all requests together: with eight at once up to eight a second."""
    errors: Mapping[str, int]
    """Windows without a score, by the kind of error."""
    scored: int
    """Windows with a score."""
    retries: int
    by_label_alone: int
    """Answers scored by their label's fixed probability, as their log-probabilities were of no
    use; counted only while `use_logprobs` is set."""
    cost: float
    """In the currency of the prices; of answers that told their tokens."""

    @property
    def outcomes(self) -> Mapping[str, int]:
        """How judging ended, each window counted once and every outcome told, those of none too."""
        by_label_alone = self.by_label_alone
        scored = {"scored": self.scored - by_label_alone, "by_label_alone": by_label_alone}
        return scored | {kind: self.errors.get(kind, 0) for kind in sorted(KINDS)}


class TokensUsed(msgspec.Struct):
    """As vLLM counted them; a classifier completes nothing."""

    prompt_tokens: int = 0
    completion_tokens: int | None = 0


class Counted(msgspec.Struct):
    """Any answer of vLLM's, for its count of tokens alone."""

    usage: TokensUsed | None = None


class Usage:
    """Counts; any thread may add to it and read it."""

    def __init__(
        self, prompt_price_per_million: float, completion_price_per_million: float
    ) -> None:
        """Start from nothing."""
        self._prompt_price = prompt_price_per_million
        self._completion_price = completion_price_per_million
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._seconds = 0.0

    def asked(self, seconds: float, *, is_retry: bool) -> None:
        """Count a request, whatever became of it."""
        with self._lock:
            self._counts["requests"] += 1
            self._counts["retries"] += is_retry
            self._seconds += seconds

    def answered(self, answer: bytes) -> None:
        """Count the tokens of an answer, whatever it says; none if it does not tell them."""
        try:
            used = msgspec.json.decode(answer, type=Counted).usage or TokensUsed()
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        with self._lock:
            self._counts["prompt"] += max(used.prompt_tokens, 0)
            self._counts["completion"] += max(used.completion_tokens or 0, 0)

    def scored(self, *, is_by_label_alone: bool) -> None:
        """Count a window that has a score, and whether its log-probabilities were of no use."""
        with self._lock:
            self._counts["scored"] += 1
            self._counts["by_label_alone"] += is_by_label_alone

    def failed(self, kind: str) -> None:
        """Count a window that has no score."""
        with self._lock:
            self._errors[kind] += 1

    def totals(self) -> Totals:
        """Return what was counted so far."""
        with self._lock:
            prompt, completion = self._counts["prompt"], self._counts["completion"]
            cost = prompt * self._prompt_price + completion * self._completion_price
            return Totals(
                requests=self._counts["requests"],
                prompt_tokens=prompt,
                completion_tokens=completion,
                seconds=self._seconds,
                errors=dict(self._errors),
                scored=self._counts["scored"],
                retries=self._counts["retries"],
                by_label_alone=self._counts["by_label_alone"],
                cost=cost / TOKENS_PER_PRICE,
            )
