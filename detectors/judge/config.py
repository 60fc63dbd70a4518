"""What an operator says about a judge."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from detectors.api import Category, Part
from detectors.judge.errors import BadConfig

REASONING_EFFORTS: Final = ("low", "medium", "high")
OVERLAPS_PER_WINDOW: Final = 4

_ADDRESS: Final = re.compile(
    r"https?://[^\s/?#@:\[\]]+(:\d{1,5})?(/[^\s?#@]*)?|https?://\[[0-9a-fA-F:.]+\](:\d{1,5})?(/[^\s?#@]*)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeConfig:
    """One guard model behind one URL; docs/judge.md has a paragraph for each field.

    Raises:
        BadConfig: a value is out of its range; the message says which values are in it.
    """

    name: str
    """Its name among the detectors: a metric label, part of operating points and verdicts."""
    url: str
    """Where vLLM listens, such as http://guard:8000; a trailing /v1 is ignored."""
    model: str
    """The name under which the guard is served."""
    family: str
    """`gpt-oss-safeguard`, `qwen3guard` or `classify`: how it is asked and what it answers."""
    api_key: str = field(default="", repr=False)
    ca_file: str = ""
    """PEM file of the authorities to trust; empty: the system's."""

    policy: str = ""
    """What is misuse, for families that read it; empty: the policy that is shipped."""
    parts: frozenset[Part] | None = None
    """What to judge, of what the family can; None: all of it."""
    labels: tuple[str, ...] = ()
    """Of `classify`: the model's labels, in the order of its id2label."""
    categories: Mapping[str, Category] = field(default_factory=dict)
    """The guard's own labels → our categories; empty: the family's own mapping."""
    is_multi_label: bool = False
    """Of `classify`: each probability stands for itself (sigmoid); otherwise they add up to 1."""
    label_probabilities: Mapping[str, float] = field(default_factory=dict)
    """Label → probability of misuse where the guard gives a label alone; empty: the family's."""
    use_logprobs: bool = True
    """Ask for the probabilities of the tokens of the label."""
    reasoning_effort: str = "medium"
    max_tokens: int = 0
    """The longest answer, reasoning included; 0: the family's own."""

    max_chars: int = 8_000
    """A longer text is judged in windows of this many characters; the highest window counts."""
    overlap_chars: int = 400
    max_windows: int = 64
    """A text of more windows is not judged: an error, never a score for a part of it."""

    max_concurrency: int = 8
    timeout_s: float = 30.0
    """For one window, its retries and their waits included."""
    retries: int = 2
    pause_s: float = 10.0
    """For how long a guard that failed many times in a row is left alone."""

    prompt_price_per_million: float = 0.0
    """Per million prompt tokens, in the operator's currency."""
    completion_price_per_million: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for is_right, what in _rules(self):
            if not is_right:
                raise BadConfig(f"judge {self.name!r}: {what}")


def _rules(config: JudgeConfig) -> list[tuple[bool, str]]:
    efforts = ", ".join(REASONING_EFFORTS)
    prices = (config.prompt_price_per_million, config.completion_price_per_million)
    probabilities = config.label_probabilities.values()
    return [
        (bool(config.name and config.model), "name and model must not be empty"),
        (
            bool(_ADDRESS.fullmatch(config.url)),
            "url: expected an address such as http://guard.internal:8000",
        ),
        (_is_header(config.api_key), "api_key: only printable ASCII can be sent"),
        (config.parts != frozenset(), "parts: name at least one, or leave it out"),
        (all(0.0 <= it <= 1.0 for it in probabilities), "label_probabilities: from 0 to 1"),
        (config.reasoning_effort in REASONING_EFFORTS, f"reasoning_effort: one of {efforts}"),
        (config.max_tokens >= 0, "max_tokens: at least 1, or 0 for the family's own"),
        (config.max_chars >= OVERLAPS_PER_WINDOW, "max_chars: at least 4"),
        (
            0 <= config.overlap_chars * OVERLAPS_PER_WINDOW <= config.max_chars,
            "overlap_chars: from 0 to a quarter of max_chars",
        ),
        (config.max_windows >= 1, "max_windows: at least 1"),
        (config.max_concurrency >= 1, "max_concurrency: at least 1"),
        (config.timeout_s > 0, "timeout_s: above 0"),
        (config.retries >= 0 and config.pause_s >= 0, "retries and pause_s: at least 0"),
        (min(prices) >= 0, "prices: at least 0"),
    ]


def _is_header(value: str) -> bool:
    return value.isascii() and value.isprintable()
