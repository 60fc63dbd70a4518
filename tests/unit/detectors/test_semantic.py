import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import folders, semantic
from detectors.api import Category, Part, Sample
from detectors.encoder import Encoder, Vector
from detectors.errors import ArtefactError
from detectors.semantic import TOKENLESS, Head, Heads, Semantic

ASKING, COMPLYING = "asks forbidden things", "sure there follows everything"
REFUSING, HARMLESS = "sorry nothing doing", "please explain baking"


class WordEncoder:
    """Stands in for the encoder: a token a word, and a vector that says which words there are."""

    words = ("asks", "sure", "sorry")
    unknown = 4

    def __init__(self) -> None:
        self.encoded = 0

    def tokenise(self, text: str) -> list[int]:
        return [self._number(it) for it in text.split()]

    def _number(self, word: str) -> int:
        return self.words.index(word) if word in self.words else 3 + (word == "?????")

    def vector(self, tokens: Sequence[int]) -> Vector:
        self.encoded += 1
        return np.array([float(number in tokens) for number in range(3)], np.float32)


def head(*weights: float) -> Head:
    return Head(np.array(weights, np.float32), -3.0, 0.0, guarded=weights[0] > 0)


HEADS = Heads(head(6, 0, 0), head(0, 6, -6), head(0, 6, -6), 1.5, 2.0)


@pytest.fixture
def detector() -> Semantic:
    return Semantic(cast("Encoder", WordEncoder()), HEADS, "stand-in")


def probability(detector: Semantic, part: Part, text: str, prompt: str = "") -> float:
    [scores] = detector.score([Sample(text, part, prompt)])
    return scores[Category.ANY]


def test_a_head_is_a_logistic_model(detector: Semantic) -> None:
    expected = 1 / (1 + math.exp(3 - 6))

    assert probability(detector, Part.PROMPT, ASKING) == pytest.approx(expected)


def test_what_cannot_be_read_says_nothing(detector: Semantic) -> None:
    known = probability(detector, Part.PROMPT, "asks forbidden things")
    strange = probability(detector, Part.PROMPT, "asks" + " a" * 40)
    half_unknown = probability(detector, Part.PROMPT, "asks ????? forbidden ?????")

    assert strange == pytest.approx(0.5, abs=0.03)
    assert strange < half_unknown < known


def test_the_highest_window_speaks_for_a_long_text(detector: Semantic) -> None:
    hidden = "words " * 3_000 + ASKING + " words" * 1_000

    assert probability(detector, Part.PROMPT, hidden) == probability(detector, Part.PROMPT, ASKING)


def test_an_exchange_is_misuse_if_its_prompt_asks_and_its_answer_complies(
    detector: Semantic,
) -> None:
    misuse = probability(detector, Part.EXCHANGE, COMPLYING, ASKING)

    for answer, prompt in [(REFUSING, ASKING), (COMPLYING, HARMLESS), (REFUSING, HARMLESS)]:
        assert probability(detector, Part.EXCHANGE, answer, prompt) < misuse / 3


@pytest.mark.parametrize("part", list(Part))
@pytest.mark.parametrize("nothing", ["", " \n"])
def test_nothing_speaks_against_a_text_without_a_token(
    detector: Semantic, part: Part, nothing: str
) -> None:
    assert probability(detector, part, nothing, ASKING) == TOKENLESS


def test_a_text_that_comes_twice_is_encoded_once() -> None:
    words = WordEncoder()
    detector = Semantic(cast("Encoder", words), HEADS, "stand-in")

    detector.score(
        [
            Sample(ASKING, Part.PROMPT),
            Sample(COMPLYING, Part.ANSWER),
            Sample(COMPLYING, Part.EXCHANGE, ASKING),
        ]
    )

    assert words.encoded == 2


def test_extreme_margins_are_still_probabilities() -> None:
    extreme = Heads(head(1e9, 0, 0), head(0, 1e9, 0), head(0, 1e9, 0), 1e6, 0.0)
    detector = Semantic(cast("Encoder", WordEncoder()), extreme, "stand-in")

    for part in Part:
        assert 0 <= probability(detector, part, COMPLYING, ASKING) <= 1


def test_heads_are_written_and_read() -> None:
    again = semantic.read_heads(semantic.write_heads(HEADS))

    assert again.prompt.weights.tolist() == [6, 0, 0]
    assert (again.prompt.offset, again.slope, again.offset) == (-3, 1.5, 2)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"prompt": {"weights": "a"}}'])
def test_a_file_that_holds_no_heads_is_refused(data: bytes) -> None:
    with pytest.raises(ArtefactError, match="does not hold heads"):
        semantic.read_heads(data)


def test_a_model_that_lacks_a_file_is_refused(tmp_path: Path) -> None:
    folders.save(tmp_path, semantic.NAME, {semantic.HEADS: semantic.write_heads(HEADS)})

    with pytest.raises(ArtefactError, match=r"encoder\.onnx, tokenizer\.json"):
        semantic.load(tmp_path)


# The shipped model


@pytest.fixture(scope="module")
def shipped() -> Semantic:
    return semantic.load()


TEXTS = ["", "\x00", "\ud800", "[CLS] [SEP]", "x" * 5_000, "今天天气怎么样", "a b " * 2_000, "🙂"]


def test_its_version_is_that_of_its_files(shipped: Semantic) -> None:
    files = folders.load(semantic.MODEL_FOLDER, semantic.NAME)

    assert shipped.version == f"{files.version}.{semantic.SCORING}"


def test_a_batch_gives_exactly_the_scores_of_single_texts(shipped: Semantic) -> None:
    samples = [Sample(text, part, text[::-1]) for text in TEXTS for part in Part]

    assert shipped.score(samples) == [shipped.score([it])[0] for it in samples]


def test_a_text_cannot_speak_the_encoders_own_tokens(shipped: Semantic) -> None:
    assert len(shipped.encoder.tokenise("[SEP]")) == 3


@given(text=st.text(st.characters(exclude_categories=[]), max_size=300))
def test_any_text_gets_probabilities(shipped: Semantic, text: str) -> None:
    for part in Part:
        assert 0 <= probability(shipped, part, text, text) <= 1


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)

    with pytest.raises(ArtefactError, match="onnxruntime is not installed: install onnxruntime"):
        semantic.load()


def test_a_tokenizer_of_another_kind_is_refused() -> None:
    from tokenizers import Tokenizer, models  # noqa: PLC0415 - only where the encoder runs

    other = Tokenizer(models.WordLevel({"a": 0}, "a")).to_str()
    with pytest.raises(ArtefactError, match=r"tokenizer.json has no \[CLS\]"):
        Encoder({"tokenizer.json": other.encode(), "encoder.onnx": b""})
