"""Detector `semantic`: linear heads on what a small sentence encoder makes of a text.

The lower layers of MiniLM (`encoder`) turn each window of a text into one vector, the mean of its
tokens' hidden states. A head is a linear model on that vector; a text's highest window speaks for
it. Milliseconds for a text: for the screener, not for the event loop.

`docs/semantic.md` says how good it is, and where not.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from pathlib import Path

import numpy as np

from detectors import encoder, folders
from detectors.api import Category, Part, Sample
from detectors.encoder import Encoder, Vector
from detectors.errors import ArtefactError
from detectors.windows import MAX_WINDOWS, pieces, tokens_of, windows

NAME = "semantic"
MODEL_FOLDER = Path(__file__).parent / "models" / NAME
HEADS = "heads.json"

SCORING = 1
"""Counted up whenever the same model files would give other scores: part of `version`."""

TOKENLESS = 0.01
"""The probability given to a text without a token, such as the empty one: nothing speaks for it."""

STRANGE_CHARS, FAMILIAR_CHARS = 2.0, 4.0
"""Characters a token, on average, of a text that the encoder cannot read, and of English."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A text's windows as vectors, none for one without a token, and how well it could be read."""

    vectors: Sequence[Vector]
    familiarity: float
    """From 0, a language that the tokenizer takes to bits, to 1, English."""


Read = Callable[[str], Reading]


@dataclass(frozen=True, slots=True)
class Head:
    """A logistic model: log-odds = trust * (weights · vector + offset) + prior."""

    weights: Vector
    offset: float
    prior: float
    guarded: bool
    """Trust is the text's familiarity: what cannot be read says nothing. Without, it is 1."""

    def highest(self, text: Reading) -> float:
        """Return the probability of a text, which that of its highest window is."""
        if not text.vectors:
            return TOKENLESS
        margin = max(float(np.dot(it, self.weights)) for it in text.vectors) + self.offset
        return logistic((text.familiarity if self.guarded else 1.0) * margin + self.prior)


@dataclass(frozen=True, slots=True)
class Heads:
    """What was learnt.

    An exchange is misuse if its prompt asks for it and its answer complies: its probability is a
    logistic function of the log-odds of both being so.
    """

    prompt: Head
    answer: Head
    compliance: Head
    """Whether an answer complies with a prompt that asks for harm, rather than refuses."""
    slope: float
    offset: float

    def exchange(self, prompt: Reading, answer: Reading) -> float:
        """Return the probability that an answer is misuse in the light of its prompt."""
        if not answer.vectors:
            return TOKENLESS
        both = log_odds(self.prompt.highest(prompt) * self.compliance.highest(answer))
        return logistic(self.slope * both + self.offset)


@dataclass(frozen=True, slots=True)
class Semantic:
    """Scores `Category.ANY` for prompts, answers, and answers in the light of their prompts."""

    encoder: Encoder
    heads: Heads
    version: str

    @property
    def name(self) -> str:
        """The registry's name."""
        return NAME

    @property
    def parts(self) -> frozenset[Part]:
        """All of them."""
        return frozenset(Part)

    def score(self, samples: Sequence[Sample]) -> list[dict[Category, float]]:
        """Return the probability of misuse of each sample, in order.

        Windows go through the encoder one by one: in batches they take no less time. A text that
        comes more than once, as a prompt and in its exchange, is encoded once.
        """
        seen: dict[str, Reading] = {}

        def once(text: str) -> Reading:
            if text not in seen:
                seen[text] = read(self.encoder, text)
            return seen[text]

        return [{Category.ANY: self._probability(sample, once)} for sample in samples]

    def _probability(self, sample: Sample, once: Read) -> float:
        match sample.part:
            case Part.PROMPT:
                return self.heads.prompt.highest(once(sample.text))
            case Part.ANSWER:
                return self.heads.answer.highest(once(sample.text))
            case Part.EXCHANGE:
                return self.heads.exchange(once(sample.prompt), once(sample.text))


def read(chosen: Encoder, text: str, most: int = MAX_WINDOWS) -> Reading:
    """Encode at most `most` windows of a text."""
    tokens = tokens_of(text, chosen.tokenise)
    vectors = [chosen.vector(window) for window in windows(tokens, most)]
    return Reading(vectors, familiarity(text, tokens, chosen.unknown))


def familiarity(text: str, tokens: Sequence[int], unknown: int) -> float:
    """Return how well a text could be read, by the length of its tokens and the unknown ones."""
    if not tokens:
        return 0.0
    chars = sum(map(len, pieces(text))) / len(tokens)
    long = (chars - STRANGE_CHARS) / (FAMILIAR_CHARS - STRANGE_CHARS)
    return min(max(long, 0.0), 1.0) * (1 - tokens.count(unknown) / len(tokens))


def logistic(margin: float) -> float:
    """Return the probability that log-odds stand for."""
    return 1 / (1 + exp(-min(max(margin, -30.0), 30.0)))


def log_odds(probability: float) -> float:
    """Return the log-odds of a probability between 0 and 1, both excluded."""
    return log(probability / (1 - probability))


def load(folder: Path = MODEL_FOLDER) -> Semantic:
    """Load the model in `folder`.

    Raises:
        ArtefactError: the model is not to be trusted, or what runs it is not installed.
    """
    files = folders.load(folder, NAME)
    missing = {HEADS, encoder.ENCODER, encoder.TOKENIZER} - files.content.keys()
    if missing:
        raise ArtefactError(f"{folder} lacks {', '.join(sorted(missing))}: restore or retrain it")
    heads = read_heads(files.content[HEADS])
    return Semantic(Encoder(files.content), heads, f"{files.version}.{SCORING}")


def write_heads(heads: Heads) -> bytes:
    """Return heads as JSON."""
    names = ("prompt", "answer", "compliance")
    plain: dict[str, object] = {name: _plain(getattr(heads, name)) for name in names}
    plain["exchange"] = {"slope": heads.slope, "offset": heads.offset}
    return (json.dumps(plain, indent=1) + "\n").encode()


def _plain(head: Head) -> dict[str, object]:
    weights = [float(f"{it:.6g}") for it in head.weights]
    plain = {"offset": head.offset, "prior": head.prior, "guarded": head.guarded}
    return plain | {"weights": weights}


def read_heads(data: bytes) -> Heads:
    """Return what `write_heads` wrote; raises `ArtefactError` for anything else."""
    try:
        plain = json.loads(data)
        return Heads(
            prompt=_head(plain["prompt"]),
            answer=_head(plain["answer"]),
            compliance=_head(plain["compliance"]),
            slope=float(plain["exchange"]["slope"]),
            offset=float(plain["exchange"]["offset"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"{HEADS} does not hold heads ({type(error).__name__})") from error


def _head(plain: Mapping[str, object]) -> Head:
    weights = np.array(plain["weights"], np.float32)
    offset, prior = (float(str(plain[name])) for name in ("offset", "prior"))
    return Head(weights, offset, prior, guarded=bool(plain["guarded"]))
