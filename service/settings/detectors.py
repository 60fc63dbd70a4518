"""Which detectors score the exchanges, and how several work together."""

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
)

from detectors.api import Category, Part
from service.settings.base import DETECTOR_NAME, FACTORY, URL, FilePath, Section
from service.settings.mistakes import Mistake

DetectorName = Annotated[str, Field(pattern=DETECTOR_NAME)]
Share = Annotated[float, Field(gt=0, le=1)]
Weight = Annotated[float, Field(gt=0, le=1000)]
Probability = Annotated[float, Field(ge=0, le=1)]


class LexicalDetector(Section):
    """Words and their neighbours: sees everything, cheap enough for the gateway itself."""

    kind: Literal["lexical"]
    name: DetectorName = "lexical"
    model: FilePath | None = None
    shadow: bool = False


class RulesDetector(Section):
    """Rules that people can read: formats of secrets, encoded payloads, published jailbreaks."""

    kind: Literal["rules"]
    name: DetectorName = "rules"
    files: tuple[FilePath, ...] = ()
    shipped: bool = True
    shadow: bool = False


class SemanticDetector(Section):
    """A small language model reads the text: for the screener, behind a band and a budget."""

    kind: Literal["semantic"]
    name: DetectorName = "semantic"
    model: FilePath | None = None
    layers: Literal[8, 16] = 16
    shadow: bool = False


class JudgeDetector(Section):
    """A guard model behind an address of vLLM, for what cheaper detectors escalate."""

    kind: Literal["judge"]
    name: DetectorName = "judge"
    url: Annotated[str, Field(pattern=URL)]
    model: str
    family: Literal["gpt-oss-safeguard", "qwen3guard", "classify"]
    api_key: SecretStr | None = None
    ca_file: FilePath | None = None
    policy: FilePath | None = None
    parts: tuple[Part, ...] = ()
    labels: tuple[str, ...] = ()
    categories: dict[str, Category] = Field(default_factory=dict)
    is_multi_label: bool = False
    label_probabilities: dict[str, Probability] = Field(default_factory=dict)
    use_logprobs: bool = True
    reasoning_effort: Literal["low", "medium", "high"] = "medium"
    max_tokens: NonNegativeInt = 0
    max_chars: PositiveInt = 8_000
    overlap_chars: NonNegativeInt = 400
    max_windows: PositiveInt = 64
    max_concurrency: PositiveInt = 8
    timeout_s: PositiveFloat = 30.0
    retries: NonNegativeInt = 2
    pause_s: NonNegativeFloat = 10.0
    prompt_price_per_million: NonNegativeFloat = 0.0
    completion_price_per_million: NonNegativeFloat = 0.0
    shadow: bool = False


class ProbeDetector(Section):
    """What probes inside vLLM read of an exchange: next to no cost, beside one that reads texts."""

    kind: Literal["probe"]
    name: DetectorName = "probe"
    probes: FilePath | None = None
    least_read: Annotated[float, Field(ge=0.5, le=1)] = 0.9
    shadow: bool = False


class PluginDetector(Section):
    """A detector of your own, in Python, installed beside Watchgate."""

    kind: Literal["plugin"]
    name: DetectorName
    factory: Annotated[str, Field(pattern=FACTORY)]
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)
    shadow: bool = False


class Stage(Section):
    """A detector of a cascade in its place: what it is asked about, and how it counts."""

    detector: DetectorName
    combine: Literal["mean", "max"] = "mean"
    weight: Weight = 1.0
    band: tuple[Probability, Probability] = (0.0, 1.0)
    max_share: Share | None = None
    max_chars_per_s: PositiveFloat | None = None
    parts: tuple[Part, ...] = ()
    required: bool = False


class CascadeDetector(Section):
    """Detectors asked in turn: cheap ones about everything, dear ones where it is worth it."""

    kind: Literal["cascade"]
    name: DetectorName = "suite"
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]


Detector = Annotated[
    LexicalDetector
    | RulesDetector
    | SemanticDetector
    | JudgeDetector
    | ProbeDetector
    | PluginDetector
    | CascadeDetector,
    Field(discriminator="kind"),
]

SHIPPED: Final[tuple[Detector, ...]] = (
    LexicalDetector(kind="lexical"),
    RulesDetector(kind="rules"),
)
"""What scores where the settings do not say."""


def check_detectors(detectors: tuple[Detector, ...]) -> Iterator[Mistake]:
    """Yield detectors that share a name, stages of nothing, and cascades that cannot work."""
    if not detectors:
        words = "there are none, so nothing would be screened: name one, or leave the key out"
        yield Mistake(("detectors",), words)
    names = [it.name for it in detectors]
    for i, name in enumerate(names):
        if name in names[:i]:
            words = f"{name!r} is already taken by detectors[{names.index(name)}]"
            yield Mistake(("detectors", i, "name"), words)
    if detectors and all(isinstance(it, ProbeDetector | CascadeDetector) for it in detectors):
        words = "probes alone would leave unscreened what they were told nothing of: name another"
        yield Mistake(("detectors",), words)
    taken: dict[str, str] = {}
    for i, detector in enumerate(detectors):
        if isinstance(detector, CascadeDetector):
            yield from _check_stages(detectors, i, detector, taken)


def _check_stages(
    detectors: tuple[Detector, ...], i: int, cascade: CascadeDetector, taken: dict[str, str]
) -> Iterator[Mistake]:
    simple = {it.name: it for it in detectors if not isinstance(it, CascadeDetector)}
    for j, stage in enumerate(cascade.stages):
        path, name = ("detectors", i, "stages", j), stage.detector
        if name not in simple:
            words = f"there is no {name!r} that is no cascade; there are: {', '.join(simple)}"
            yield Mistake((*path, "detector"), words)
        if name in taken:
            yield Mistake((*path, "detector"), f"{name!r} is a stage of {taken[name]} already")
        taken[name] = cascade.name
        if stage.band[0] > stage.band[1]:
            yield Mistake((*path, "band"), "expected the lower end first")
    first = cascade.stages[0]
    bounded = first.band != (0.0, 1.0) or first.max_share or first.max_chars_per_s or first.parts
    if bounded or getattr(simple.get(first.detector), "shadow", False):
        words = "the first stage sees everything and counts: no band, budget, parts or shadow"
        yield Mistake(("detectors", i, "stages", 0), words)
