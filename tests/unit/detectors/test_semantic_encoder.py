"""The encoder that is built of a file of weights computes what a Llama does."""

from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import pytest

from detectors.errors import ArtefactError
from detectors.semantic import gguf, graph
from detectors.semantic.gguf import Gguf
from detectors.semantic.tokenizer import Tokenizer
from detectors.semantic.weights import Weights
from tests.real_parts import tiny_llama


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.gguf"
    return tiny_llama.write(path, tiny_llama.fields(), tiny_llama.weights())


def test_a_file_gives_its_fields_and_tensors(file: Path) -> None:
    read = Gguf(file)

    assert read.fields["llama.embedding_length"] == tiny_llama.WIDTH
    assert read.fields["tokenizer.ggml.tokens"] == tiny_llama.TOKENS
    for name, tensor in tiny_llama.weights().items():
        assert np.array_equal(read.tensor(name), tensor)


def test_blocks_of_8_and_of_4_bits_are_read() -> None:
    eight = np.zeros(1, gguf.KINDS[8].stored)
    eight["scale"], eight["values"] = 0.5, np.arange(-16, 16)
    assert np.allclose(gguf.KINDS[8].read(eight)[0], np.arange(-16, 16) / 2)
    four = np.zeros(1, gguf.KINDS[3].stored)
    four["scale"], four["least"] = 2.0, -3.0
    four["pairs"] = np.arange(16) | (15 - np.arange(16)) << 4
    wanted = np.concatenate([np.arange(16), 15 - np.arange(16)]) * 2.0 - 3.0
    assert np.allclose(gguf.KINDS[3].read(four)[0], wanted)


@pytest.mark.parametrize("damage", [b"", b"GGUF", b"GGUF\x03\0\0\0" + b"\xff" * 16, b"PK" * 40])
def test_what_is_no_such_file_is_refused(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "damaged.gguf"
    path.write_bytes(damage)
    with pytest.raises(ArtefactError, match=r"damaged\.gguf is"):
        Gguf(path)


def test_tokens_are_the_longest_merges_and_no_text_can_end_its_turn(file: Path) -> None:
    tokenizer = Tokenizer(Weights(file))
    names = [tiny_llama.TOKENS[it] for it in tokenizer.text("user\nass")]

    assert names == ["user", "Ċ", "ass"]
    assert tokenizer.special("<|im_end|>") not in tokenizer.text("im_end")


def test_a_tokenizer_of_another_kind_is_refused(tmp_path: Path) -> None:
    told = tiny_llama.fields() | {"tokenizer.ggml.pre": "llama-bpe"}
    file = tiny_llama.write(tmp_path / "other.gguf", told, {})
    with pytest.raises(ArtefactError, match="smollm"):
        Tokenizer(Weights(file))


def test_the_graph_computes_what_the_weights_say(file: Path) -> None:
    built = graph.build(Weights(file), [1, tiny_llama.LAYERS])
    session = onnxruntime.InferenceSession(built, providers=["CPUExecutionProvider"])
    tokens = [1, 31, 29, 3, 4, 5, 6, 7, 8, 2, 29, 1]
    positions = [0, 4, len(tokens) - 1]

    [found] = session.run(None, {"tokens": np.array([tokens]), "positions": np.array(positions)})

    for states, layers in zip(found, (1, tiny_llama.LAYERS), strict=True):
        wanted = tiny_llama.states(tiny_llama.weights(), tokens, layers)[positions]
        error = np.linalg.norm(states - wanted, axis=1) / np.linalg.norm(wanted, axis=1)
        assert error.max() < 0.1  # 7 bits of weights and 8 of activations


def test_the_same_weights_give_the_same_bytes(file: Path) -> None:
    assert graph.build(Weights(file), [1]) == graph.build(Weights(file), [1])


def test_rounded_weights_have_seven_bits() -> None:
    weight = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)
    values, scales = graph.rounded(weight)

    assert np.abs(values).max() == graph.TOP
    assert np.abs(values * scales[:, None] - weight).max() <= scales.max() / 2 + 1e-6
