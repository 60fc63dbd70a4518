"""The lower layers of a small sentence encoder, run by onnxruntime on one core.

A folder holds `encoder.onnx` (token ids → hidden states, see `encoder_graph`) and `tokenizer.json`.
Texts are encoded one by one, without padding: what else is in a batch cannot change a score.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.errors import ArtefactError

ENCODER = "encoder.onnx"
TOKENIZER = "tokenizer.json"
WANTED = "install onnxruntime and tokenizers"

Vector = NDArray[np.float32]


class Encoder:
    """Tokenises and encodes; may be called by several threads."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """Load `ENCODER` and `TOKENIZER`; raises `ArtefactError` where that cannot be done."""
        try:
            onnxruntime = import_module(
                "onnxruntime"
            )  # not at the top: only this detector needs it
            tokenizers = import_module("tokenizers")
        except ImportError as error:
            raise ArtefactError(
                f"the encoder is unavailable, {error.name} is not installed: {WANTED}"
            ) from error
        self._tokenizer = tokenizers.Tokenizer.from_str(files[TOKENIZER].decode())
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._tokenizer.encode_special_tokens = True  # a text that says [SEP] means the letters
        self._first, self._last = self._special("[CLS]"), self._special("[SEP]")
        self.unknown = self._special("[UNK]")
        self._session = onnxruntime.InferenceSession(
            files[ENCODER], _options(onnxruntime), providers=["CPUExecutionProvider"]
        )

    def tokenise(self, text: str) -> list[int]:
        """Return the ids of a text's tokens; a lone surrogate counts as a question mark."""
        clean = text.encode("utf-8", "replace").decode()
        ids: list[int] = self._tokenizer.encode(clean, add_special_tokens=False).ids
        return ids

    def vector(self, tokens: Sequence[int]) -> Vector:
        """Return one window's mean hidden state, that of each output layer after the other."""
        framed = np.array([[self._first, *tokens, self._last]], np.int64)
        found: Sequence[NDArray[np.float32]] = self._session.run(None, {"tokens": framed})
        return np.concatenate([states[0].mean(axis=0) for states in found])

    def _special(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise ArtefactError(f"{TOKENIZER} has no {token}: it is of another kind of model")
        return int(found)


def _options(onnxruntime: Any) -> Any:  # noqa: ANN401 - the module has no types
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # as many cores as processes, and the same sums every time
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # it would keep the peak for ever
    options.log_severity_level = 3
    return options
