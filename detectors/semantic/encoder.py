"""The lower layers of SmolLM2, run by onnxruntime on one core, one text at a time."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from detectors.semantic.gguf import Floats
from detectors.semantic.graph import build
from detectors.semantic.tokenizer import Tokenizer
from detectors.semantic.weights import Weights, installed, wanted
from detectors.semantic.windows import Tokens, tokens_of, windows

PROMPT_TOKENS: Final = 128
"""So many tokens of a prompt go before its answer: its end, where the request mostly is."""


class Encoder:
    """Turns texts into vectors; may be called by several threads."""

    def __init__(self, weights: Weights, layers: int) -> None:
        """Build the graph of so many layers; `ArtefactError` says what is missing."""
        runtime = wanted("onnxruntime")
        tokenizer = Tokenizer(weights)
        self._tokenise = tokenizer.text
        self._width = weights.shape().width
        start, end = tokenizer.special("<|im_start|>"), tokenizer.special("<|im_end|>")
        line = tuple(tokenizer.text("\n"))
        self._asks = (start, *tokenizer.text("user"), *line)
        self._ends = (end, *line)
        self._answers = (*self._ends, start, *tokenizer.text("assistant"), *line)
        providers = ["CPUExecutionProvider"]
        graph = build(weights, [layers])
        self._session = runtime.InferenceSession(graph, _options(runtime), providers=providers)

    def message(self, text: str, most: int) -> list[Floats]:
        """Return a vector for each of at most `most` windows of a text, read as a request.

        A vector, float32 of shape (2 * width,), holds the mean state over the text and the state
        at the place where an answer would begin. A text without a token has no window.
        """
        return [self._vector(self._asks, it, self._answers) for it in self._windows(text, most)]

    def answer(self, prompt: str, text: str, most: int) -> list[Floats]:
        """Return a vector for each of at most `most` windows of an answer after its prompt.

        It holds the mean state over the answer and the state at the place where it has ended.
        """
        asked = tokens_of(prompt, self._tokenise)[-PROMPT_TOKENS:]
        before = (*self._asks, *asked, *self._answers)
        return [self._vector(before, it, self._ends) for it in self._windows(text, most)]

    def _windows(self, text: str, most: int) -> list[Tokens]:
        return windows(tokens_of(text, self._tokenise), most)

    def _vector(self, before: Tokens, text: Tokens, after: Tokens) -> Floats:
        tokens = np.array([[*before, *text, *after]], np.int64)
        inside = range(len(before), len(before) + len(text))
        positions = np.array([*inside, tokens.size - 1], np.int64)
        states: Sequence[Any] = self._session.run(None, {"tokens": tokens, "positions": positions})
        found: Floats = states[0][0]
        return np.concatenate([found[:-1].mean(axis=0), found[-1]])


def load(layers: int) -> Encoder:
    """Return the encoder of so many layers of the installed weights.

    Raises:
        ArtefactError: something is not installed, or the weights are others.
    """
    return Encoder(Weights(installed()), layers)


def _options(runtime: Any) -> Any:  # noqa: ANN401 - the module has no types
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1  # as many cores as processes, and the same sums every time
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # it would keep the peak for ever
    options.log_severity_level = 3
    return options
