"""The tokenizer that SmolLM2 was trained with: byte pairs, each digit by itself."""

from collections.abc import Sequence
from typing import Final

from detectors.errors import ArtefactError
from detectors.semantic.weights import Weights, wanted

KIND: Final = ("gpt2", "smollm")
"""What the file of weights must say of its tokenizer: its model, and how texts are split."""


class Tokenizer:
    """Turns text into ids of tokens; may be called by several threads."""

    def __init__(self, weights: Weights) -> None:
        """Make it of the vocabulary in the file of weights."""
        kind = (weights.field("tokenizer.ggml.model"), weights.field("tokenizer.ggml.pre"))
        if kind != KIND:
            raise ArtefactError(f"the tokenizer is {kind}, but {KIND} is needed")
        library = wanted("tokenizers")
        tokens = weights.field("tokenizer.ggml.tokens")
        self._ids = {token: number for number, token in enumerate(tokens)}
        merges = [tuple(it.split(" ")) for it in weights.field("tokenizer.ggml.merges")]
        self._tokenizer = library.Tokenizer(library.models.BPE(vocab=self._ids, merges=merges))
        split = library.pre_tokenizers
        self._tokenizer.pre_tokenizer = split.Sequence(
            [split.Digits(individual_digits=True), split.ByteLevel(add_prefix_space=False)]
        )

    def text(self, text: str) -> Sequence[int]:
        """Return the ids of a text; a lone surrogate counts as a question mark.

        A text that says `<|im_end|>` means the letters: it cannot end its own turn.
        """
        clean = text.encode("utf-8", "replace").decode()
        ids: Sequence[int] = self._tokenizer.encode(clean, add_special_tokens=False).ids
        return ids

    def special(self, token: str) -> int:
        """Return the id of a token that structures a conversation."""
        return self._ids[token]
