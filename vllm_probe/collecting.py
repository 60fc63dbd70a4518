"""What a model makes of labelled texts, on disk: what probes learn from.

Runs where torch and transformers are, as beside vLLM. The first line of its input is a `Job`, every
other a `Shard`; each shard becomes a file of its own, and its number goes to the output.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from vllm_probe.parts import HALF_LIFE_TOKENS, Pooling

LINEAR: Final = (Pooling.MEAN, Pooling.EMA, Pooling.LAST)
"""How the states of a part's tokens become one. Of these it makes no odds whether a probe is
applied to each token and the scores pooled, or the other way about."""
_TAIL_TOKENS: Final = 16
"""The end of a prompt that is always read: what the template sets behind the caller's words."""
_BATCH_TOKENS: Final = 4_096
_MOST_FLOAT16: Final = float(np.finfo(np.float16).max)


class Job(msgspec.Struct, frozen=True):
    """How texts are read."""

    model: str
    """Its folder."""
    layers: tuple[int, ...]
    """What enters them is kept; in order."""
    max_tokens: int
    """Of a longer prompt the middle is left out, of a longer answer the end."""
    dtype: str
    folder: str
    """Where the files go."""


class Shard(msgspec.Struct, frozen=True):
    """Some texts: prompts, or answers each with what it answers."""

    number: int
    texts: tuple[tuple[str, str | None], ...]


class Reader:
    """A model with its tokenizer and chat template."""

    def __init__(self, job: Job) -> None:
        """Load the layers that are needed."""
        import torch  # noqa: PLC0415  (not there where Watchgate itself runs)
        from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415

        self._torch = torch
        self._job = job
        self._tokenizer = AutoTokenizer.from_pretrained(job.model)
        self._model = AutoModelForCausalLM.from_pretrained(
            job.model, dtype=getattr(torch, job.dtype)
        ).model.eval()
        del self._model.layers[max(job.layers) + 1 :]
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model.to(self._device)

    def read(self, texts: Sequence[tuple[str, str | None]]) -> Any:  # noqa: ANN401
        """Return what is kept of texts: (texts, layers, `LINEAR`, hidden size), float16."""
        tokens = [self._tokens(prompt, answer) for prompt, answer in texts]
        found: list[Any] = [None] * len(texts)
        for batch in _batches([len(it) for it, _ in tokens]):
            states = self._states([tokens[number][0] for number in batch])
            for place, number in enumerate(batch):
                ids, start = tokens[number]
                found[number] = _pooled(states[:, place, start : len(ids)])
        return np.clip(np.stack(found), -_MOST_FLOAT16, _MOST_FLOAT16).astype(np.float16)

    def _tokens(self, prompt: str, answer: str | None) -> tuple[list[int], int]:
        """Return the tokens of a conversation, and where the part begins that is looked at."""
        talk = [{"role": "user", "content": prompt}]
        rendered = self._tokenizer.apply_chat_template(
            talk, add_generation_prompt=True, tokenize=False
        )
        asked = _without_middle(self._encoded(rendered), self._job.max_tokens)
        if answer is None:
            return asked, 0
        answered = self._encoded(answer)[: self._job.max_tokens] or asked[-1:]
        return asked + answered, len(asked)

    def _encoded(self, text: str) -> list[int]:
        found: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return found

    def _states(self, sequences: Sequence[list[int]]) -> Any:  # noqa: ANN401
        """Return what enters the layers, (layers, sequences, tokens, hidden size), float32."""
        torch = self._torch
        longest = max(map(len, sequences))
        ids = torch.zeros((len(sequences), longest), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, sequence in enumerate(sequences):
            ids[row, : len(sequence)] = torch.tensor(sequence)
            mask[row, : len(sequence)] = 1
        with torch.inference_mode():
            found = self._model(
                ids.to(self._device),
                attention_mask=mask.to(self._device),
                use_cache=False,
                output_hidden_states=True,
            ).hidden_states
        return np.stack([found[layer].float().cpu().numpy() for layer in self._job.layers])


def _pooled(states: Any) -> Any:  # noqa: ANN401
    """Pool states of shape (layers, tokens, hidden size) to (layers, `LINEAR`, hidden size)."""
    tokens = states.shape[1]
    keep = 0.5 ** (1 / HALF_LIFE_TOKENS)
    ages = np.arange(tokens - 1, -1, -1)
    weights = (1 - keep) * keep**ages
    weights[0] = keep ** (tokens - 1)
    by_pooling = {
        Pooling.MEAN: states.mean(axis=1),
        Pooling.EMA: np.einsum("t,lth->lh", weights.astype(np.float32), states),
        Pooling.LAST: states[:, -1],
    }
    return np.stack([by_pooling[it] for it in LINEAR], axis=1)


def _without_middle(tokens: list[int], most: int) -> list[int]:
    return tokens if len(tokens) <= most else tokens[: most - _TAIL_TOKENS] + tokens[-_TAIL_TOKENS:]


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield numbers of sequences of like lengths, some thousand tokens at once."""
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and lengths[number] * (len(batch) + 1) > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def path_of(folder: Path, number: int) -> Path:
    """Return where the states of a shard are."""
    return folder / f"states-{number:05}.npy"


def run(lines: Iterable[bytes]) -> Iterator[int]:
    """Do a job; yield the number of each shard once it is on disk."""
    given = iter(lines)
    job = msgspec.json.decode(next(given), type=Job)
    reader = Reader(job)
    for line in given:
        shard = msgspec.json.decode(line, type=Shard)
        path = path_of(Path(job.folder), shard.number)
        unfinished = path.with_suffix(".unfinished")
        with unfinished.open("wb") as file:
            np.save(file, reader.read(shard.texts))
            os.fsync(file.fileno())
        unfinished.replace(path)
        yield shard.number


if __name__ == "__main__":
    for done in run(sys.stdin.buffer):
        sys.stdout.write(f"{done}\n")
        sys.stdout.flush()
