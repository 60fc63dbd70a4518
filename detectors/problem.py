"""What a head of the lexical detector learns from: which rows, as which features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from detectors.api import Part
from detectors.corpus import Corpus, corpus
from detectors.data import Row, cap_sources
from detectors.errors import DataError
from detectors.fitting import source_weights
from detectors.kinds import Kind, taught_by_kind
from detectors.metrics import Scores
from detectors.validation import Labelled

TEXT_CHARS = 20_000
"""So much of a text is read in training."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tried and what is fixed. `inverse_regularisations` are scikit-learn's C.

    `unused_sources` teach nothing, because models without them were better on other sources; they
    are judged like all.
    `benign_stretches` (words, how many of a text) of long benign prompts are benign rows as well:
    a long text is as suspect as its worst stretch.
    """

    rows_per_source: int = 1_000
    answers_per_source: int = 10_000
    inverse_regularisations: Mapping[Part, tuple[float, ...]] = field(
        default_factory=lambda: {
            Part.PROMPT: (10.0,),
            Part.ANSWER: (0.1, 0.3, 1.0),
            Part.EXCHANGE: (0.3, 1.0, 3.0),
        }
    )
    source_power: float = 0.25
    unused_sources: frozenset[str] = frozenset({"wildguard_benign"})
    benign_stretches: tuple[int, int] = (32, 3)
    prose_sources: frozenset[str] = frozenset(
        {
            "c4_demo",
            "medquad",
            "mmlu_questions",
            "owasp_wstg",
            "purplellama_autocomplete",
            "xquad_multilingual",
        }
    )
    prose_chars: int = 150
    prose_per_source: int = 150
    prose_weight: float = 0.02
    """Of a row of prose among answers, compared with others: prose tells little of answers."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One part's training set.

    `texts` and `judged` are all texts and their labels; `features`, of shape (n, BUCKETS), and
    `rows` are what is learnt from: the texts of sources that teach, then stretches cut from them,
    each of the text that `text` numbers. `kinds` say of each text whether it teaches a kind.
    """

    part: Part
    texts: Corpus
    judged: Labelled
    features: sparse.csr_matrix
    rows: Labelled
    text: NDArray[np.int64]
    kinds: Mapping[Kind, NDArray[np.bool_]]

    def of_kind(self, kind: Kind) -> "Problem":
        """Return the same where those rows alone are learnt from."""
        chosen = self.kinds[kind][self.text]
        rows = Labelled(self.rows.label[chosen], self.rows.source[chosen])
        return replace(self, features=self.features[chosen], rows=rows, text=self.text[chosen])

    def judged_of(self, kind: Kind) -> Labelled:
        """Return the labels and sources of the texts that a kind is calibrated by."""
        among = self.kinds[kind]
        return Labelled(self.judged.label[among], self.judged.source[among])


def prompt_rows(rows: Sequence[Row], plan: Plan) -> list[Row]:
    """Return the rows whose label speaks of the prompt, so many of a source."""
    prompts = (row for row in rows if row.sample.part is Part.PROMPT)
    return cap_sources(prompts, plan.rows_per_source)


def answer_rows(rows: Sequence[Row], plan: Plan) -> list[Row]:
    """Return the labelled answers, and benign prose so that not all prose looks like compliance.

    The benign rows among labelled answers are refusals nearly all.
    """
    prose = (
        row
        for row in rows
        if row.source in plan.prose_sources and row.label == 0 and len(row.text) >= plan.prose_chars
    )
    return [*exchange_rows(rows, plan), *cap_sources(prose, plan.prose_per_source)]


def exchange_rows(rows: Sequence[Row], plan: Plan) -> list[Row]:
    """Return the labelled answers alone: each to a prompt that asks for misuse."""
    answers = (row for row in rows if row.sample.part is Part.ANSWER)
    return cap_sources(answers, plan.answers_per_source)


def teachers(rows: Sequence[Row], plan: Plan) -> list[Row]:
    """Return the rows that may teach some head."""
    return [row for row in rows if row.source not in plan.unused_sources]


def problem(rows: Sequence[Row], part: Part, plan: Plan) -> Problem:
    """Make features and labels of rows, and of prompts also of stretches of the benign ones."""
    label = np.array([row.label for row in rows], dtype=np.int64)
    if set(label.tolist()) != {0, 1}:
        raise DataError("training needs rows of both labels, 0 and 1, for each part")
    source = np.array([row.source for row in rows])
    teaches = ~np.isin(source, sorted(plan.unused_sources))
    texts = corpus([row.sample.text[:TEXT_CHARS] for row in rows])
    long_ones = np.flatnonzero(teaches & (label == 0) & (part is Part.PROMPT))
    stretches, owners = texts.stretches(long_ones, *plan.benign_stretches)
    taught = np.concatenate([np.flatnonzero(teaches), owners])
    mean = is_mean(part)
    features = sparse.vstack([texts.features(mean=mean)[teaches], stretches.features()]).tocsr()
    learnt = Labelled(label[taught], source[taught])
    is_prompt = part is Part.PROMPT
    kinds = taught_by_kind(rows) if is_prompt else {Kind.REQUEST: np.ones(len(rows), np.bool_)}
    return Problem(part, texts, Labelled(label, source), features, learnt, taught, kinds)


def is_mean(part: Part) -> bool:
    """Whether the mean of the whole text counts: for answers, as whether one complies shows there.

    Of a prompt the worst stretch counts, for a request may stand anywhere in it.
    """
    return part is not Part.PROMPT


def row_weights(rows: Labelled, part: Part, plan: Plan) -> Scores:
    """Return what rows weigh: labels the same, sources tempered, prose among answers little."""
    weights = source_weights(rows, plan.source_power)
    if part is not Part.PROMPT:
        weights[np.isin(rows.source, sorted(plan.prose_sources))] *= plan.prose_weight
    return weights
