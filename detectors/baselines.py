"""What the field does first, trained anew on the same rows: so that our figures mean something.

Plain scikit-learn, as its documentation has it, with nothing tuned; texts are seen whole. They
are trained on sources that may train what is shipped, although they are not shipped.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sklearn
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from detectors.api import Category, Detector, Part, Sample
from detectors.data import Row, cap_sources

ROWS_PER_SOURCE = 1_000
PARTS = (Part.PROMPT, Part.ANSWER)
PROFANITY = "profanity_check"
"""The module of alt-profanity-check, which comes trained; it joins in where it is installed."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Baseline:
    """A model of scikit-learn for each part; the probability is the model's own."""

    name: str
    version: str
    models: Mapping[Part, Any]

    @property
    def parts(self) -> frozenset[Part]:
        """The parts that there were rows for."""
        return frozenset(self.models)

    def score(self, samples: Sequence[Sample]) -> list[dict[Category, float]]:
        """Return the probability of misuse of each sample, in order."""
        found = [0.0] * len(samples)
        for part in {sample.part for sample in samples}:
            places = [place for place, sample in enumerate(samples) if sample.part is part]
            texts = [samples[place].text for place in places]
            chances = self.models[part].predict_proba(texts)[:, 1].tolist()
            for place, chance in zip(places, chances, strict=True):
                found[place] = chance
        return [{Category.ANY: it} for it in found]


@dataclass(frozen=True, slots=True)
class Profanity:
    """alt-profanity-check as it comes: a linear model of bad language, not of misuse."""

    predict: Callable[[list[str]], Any]
    version: str = "as installed"
    name: str = "baseline alt-profanity-check"
    parts: frozenset[Part] = frozenset(PARTS)

    def score(self, samples: Sequence[Sample]) -> list[dict[Category, float]]:
        """Return the probability that each sample is profane, in order."""
        chances = self.predict([sample.text for sample in samples]).tolist() if samples else []
        return [{Category.ANY: float(it)} for it in chances]


def baselines(rows: Sequence[Row], say: Say) -> list[Detector]:
    """Train each baseline on rows that may train; the same rows give the same scores."""
    capped = cap_sources(rows, ROWS_PER_SOURCE)
    with threadpool_limits(1):
        trained = [_trained(name, make, capped, say) for name, make in MAKERS.items()]
    return [*(it for it in trained if it.parts), *_profanity()]


def _trained(name: str, make: Callable[[], Any], rows: Sequence[Row], say: Say) -> Baseline:
    models = {}
    for part in PARTS:
        chosen = [row for row in rows if part in row.parts]
        labels = [row.label for row in chosen]
        if set(labels) == {0, 1}:
            say(f"{name}: trained on {len(chosen)} rows for {part}s")
            texts = [row.sample_of(part).text for row in chosen]
            models[part] = _with_regression(make()).fit(texts, labels)
    return Baseline(name, f"scikit-learn-{sklearn.__version__}", models)


def _words() -> HashingVectorizer:
    return HashingVectorizer(ngram_range=(1, 2), n_features=1 << 18, alternate_sign=False)


def _words_and_characters() -> Any:  # noqa: ANN401 - scikit-learn has no types
    words = HashingVectorizer(ngram_range=(1, 2), n_features=1 << 20, alternate_sign=False)
    characters = HashingVectorizer(
        analyzer="char_wb", ngram_range=(3, 5), n_features=1 << 20, alternate_sign=False
    )
    return make_union(words, characters)


def _tf_idf() -> TfidfVectorizer:
    return TfidfVectorizer(sublinear_tf=True, min_df=2)


MAKERS: Mapping[str, Callable[[], Any]] = {
    "baseline hashed words": _words,
    "baseline hashed words and characters": _words_and_characters,
    "baseline TF-IDF words": _tf_idf,
}
"""Name in the report → what turns texts into features; a logistic regression follows."""


def _with_regression(features: Any) -> Pipeline:  # noqa: ANN401 - as above
    return make_pipeline(features, LogisticRegression(C=10, class_weight="balanced", max_iter=200))


def _profanity() -> list[Detector]:
    if importlib.util.find_spec(PROFANITY) is None:
        return []
    return [Profanity(importlib.import_module(PROFANITY).predict_prob)]
