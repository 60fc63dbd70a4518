"""A small BERT with random weights, and rows that say nothing."""

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from detectors import encoder_graph, semantic
from detectors import semantic_training as training
from detectors.api import Category, Part, Sample
from detectors.data import Row
from detectors.encoder import Encoder, Vector
from detectors.errors import ArtefactError
from detectors.semantic import Reading
from detectors.validation import Labelled

WIDTH, HEADS, INNER, WORDS, LAYERS = 64, 2, 96, 40, 6
CONFIG = {
    "model_type": "bert",
    "hidden_size": WIDTH,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "layer_norm_eps": 1e-12,
}
Floats = NDArray[np.float32]


def shapes() -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (WORDS, WIDTH),
        "embeddings.position_embeddings.weight": (160, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        "embeddings.LayerNorm.weight": (WIDTH,),
        "embeddings.LayerNorm.bias": (WIDTH,),
    }
    for layer in (f"encoder.layer.{number}" for number in range(LAYERS)):
        for name in ("query", "key", "value"):
            found[f"{layer}.attention.self.{name}.weight"] = (WIDTH, WIDTH)
        found[f"{layer}.attention.output.dense.weight"] = (WIDTH, WIDTH)
        found[f"{layer}.intermediate.dense.weight"] = (INNER, WIDTH)
        found[f"{layer}.output.dense.weight"] = (WIDTH, INNER)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            found[f"{layer}.{name}.weight"] = (WIDTH,)
    biases = {
        name.replace(".weight", ".bias"): shape[:1]
        for name, shape in found.items()
        if name.startswith("encoder")
    }
    return found | biases


@pytest.fixture
def weights() -> dict[str, Floats]:
    random = np.random.default_rng(0)
    return {
        name: (random.normal(size=shape) * 0.2 + ("Norm.weight" in name)).astype(np.float32)
        for name, shape in shapes().items()
    }


@pytest.fixture
def folder(tmp_path: Path, weights: dict[str, Floats]) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, value in weights.items():
        offsets = [len(data), len(data) + value.nbytes]
        header[name] = {"dtype": "F32", "shape": value.shape, "data_offsets": offsets}
        data += value.tobytes()
    head = json.dumps(header).encode()
    (tmp_path / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + data)
    return tmp_path


def reference(weights: dict[str, Floats], tokens: Sequence[int], layers: int) -> Floats:
    """Work BERT out in full precision."""

    def linear(x: Floats, name: str) -> Floats:
        product: Floats = x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
        return product

    def norm(x: Floats, name: str) -> Floats:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True))
        normal: Floats = scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]
        return normal

    def split(x: Floats) -> Floats:
        return x.reshape(len(x), HEADS, -1).swapaxes(0, 1)

    def gelu(x: Floats) -> Floats:
        from scipy.special import erf  # noqa: PLC0415

        return cast("Floats", x * (1 + erf(x / np.sqrt(2))) / 2)

    x = weights["embeddings.word_embeddings.weight"][list(tokens)]
    x = x + weights["embeddings.position_embeddings.weight"][: len(tokens)]
    x = norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for name in (f"encoder.layer.{number}" for number in range(layers)):
        query, key, value = (
            split(linear(x, f"{name}.attention.self.{it}")) for it in ("query", "key", "value")
        )
        odds = np.exp(query @ key.swapaxes(1, 2) / np.sqrt(WIDTH / HEADS))
        mixed = (odds / odds.sum(-1, keepdims=True)) @ value
        mixed = mixed.swapaxes(0, 1).reshape(len(x), WIDTH)
        mixed = linear(mixed, f"{name}.attention.output.dense")
        x = norm(x + mixed, f"{name}.attention.output.LayerNorm")
        inner = linear(gelu(linear(x, f"{name}.intermediate.dense")), f"{name}.output.dense")
        x = norm(x + inner, f"{name}.output.LayerNorm")
    return x


def run(graph: bytes, tokens: Sequence[Sequence[int]]) -> list[Floats]:
    onnxruntime = import_module("onnxruntime")  # a second to import

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return cast("list[Floats]", session.run(None, {"tokens": np.array(tokens, np.int64)}))


@pytest.mark.parametrize("layers", [(1,), (2,), (1, 2)])
def test_the_graph_does_what_bert_does(
    folder: Path, weights: dict[str, Floats], layers: tuple[int, ...]
) -> None:
    tokens = [1, 5, 5, 39, 0, 7]
    found = run(encoder_graph.build(folder, layers), [tokens])

    for [states], layer in zip(found, layers, strict=True):
        assert np.abs(states - reference(weights, tokens, layer)).max() < 0.15  # values around 1


def test_states_do_not_depend_on_the_rest_of_a_batch(folder: Path) -> None:
    graph = encoder_graph.build(folder, [2])
    [many], [alone] = run(graph, [[1, 2, 3], [30, 31, 32]]), run(graph, [[1, 2, 3]])

    assert (many[0] == alone[0]).all()


def test_the_same_weights_give_the_same_bytes(folder: Path) -> None:
    assert encoder_graph.build(folder, [2]) == encoder_graph.build(folder, [2])


def test_a_model_with_too_few_layers_is_refused(folder: Path) -> None:
    with pytest.raises(ArtefactError, match="a BERT of at least 7 layers"):
        encoder_graph.build(folder, [7])


def test_quantised_weights_are_near() -> None:
    weight = np.random.default_rng(0).normal(size=(8, 64)).astype(np.float32)
    values, scales, zeros = encoder_graph.quantise(weight)

    near = (values.astype(np.float32) - zeros[..., None]) * scales[..., None]
    assert np.abs(near.reshape(8, 64) - weight).max() < 0.02


def test_a_block_of_noughts_stays_so() -> None:
    values, _, zeros = encoder_graph.quantise(np.zeros((1, 32), np.float32))

    assert (values == zeros[..., None]).all()


# Training


class HashEncoder:
    """Stands in for the encoder: a vector that depends on a text's letters."""

    unknown = 0

    def tokenise(self, text: str) -> list[int]:
        return [ord(letter) for letter in text[::4]]

    def vector(self, tokens: Sequence[int]) -> Vector:
        return np.bincount(np.array(tokens, np.int64) % 8, minlength=8).astype(np.float32)


def rows() -> list[Row]:
    letters = {0: "ab cd", 1: "xy zz"}
    found = []
    for number in range(120):
        label, source = number % 2, f"s{number % 6}"
        text = letters[label] * (1 + number % 5) + str(number)
        found += [
            Row(f"p{number}", text, label, source, "MIT"),
            Row(f"a{number}", text, label, f"resp_{number % 4 // 2}", "MIT", text[::-1]),
            Row(f"c{number}", text + " prose" * 30, 0, "c4_demo", "ODC-BY"),
        ]
    return found


def trained(given: Sequence[Row]) -> semantic.Heads:
    plan = training.Plan(prompts_per_source=20, answers_per_source=20, prose_per_source=20)
    words: list[str] = []
    trainer = training.Trainer(cast("Encoder", HashEncoder()), plan, words.append)
    heads = trainer.heads(given)
    named = {it.split(":")[0] for it in words}
    assert named >= {"prompt, layer 4", "prompt", "answer", "compliance", "exchange"}
    return heads


def test_the_same_rows_in_whatever_order_give_the_same_heads() -> None:
    assert semantic.write_heads(trained(rows())) == semantic.write_heads(trained(rows()[::-1]))


def test_heads_rank_what_they_were_trained_on() -> None:
    found = trained(rows())
    vectors = HashEncoder().vector

    low, high = (
        found.prompt.highest(Reading([vectors([ord(it) for it in text[::4]])], 1.0))
        for text in ("ab cdab cd3", "xy zzxy zz3")
    )
    assert low < high


def test_answers_are_measured_against_refusals_of_their_own_source() -> None:
    labels = Labelled(np.array([0, 1, 0, 1]), np.array(["one", "one", "two", "two"]))

    quality = training.mean_within_sources(np.array([0.1, 0.2, 0.8, 0.9]), labels)
    assert quality.auroc == 1


def test_missing_weights_end_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--weights", str(tmp_path), "--data", str(tmp_path), "--output", str(tmp_path)]

    assert training.main(arguments) == 1
    assert f"error: {tmp_path} cannot be read" in capsys.readouterr().err


# All of it


def write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: PLC0415 - as above

    letters = ["[UNK]", "[CLS]", "[SEP]", *"abcdepxyzors"]
    vocabulary = {it: number for number, it in enumerate(letters)}
    made = Tokenizer(models.WordLevel(vocabulary, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made.save(str(folder / "tokenizer.json"))


def write_data(folder: Path) -> None:
    (folder / "train_pool").mkdir()
    lines = [msgspec.json.encode(row).decode() for row in rows()]
    (folder / "train_pool" / "rows.jsonl").write_text("\n".join(lines))
    sources = sorted({row.source for row in rows()})
    table = ["source\tlicence\tmay_train_shipped_artefact", *(f"{it}\tMIT\tyes" for it in sources)]
    (folder / "licences.tsv").write_text("\n".join(table))


def test_training_twice_writes_one_and_the_same_model(folder: Path) -> None:
    write_tokenizer(folder)
    write_data(folder)
    arguments = ["--weights", str(folder), "--data", str(folder), "--output"]

    assert training.main([*arguments, str(folder / "one")]) == 0
    assert training.main([*arguments, str(folder / "two")]) == 0

    detector = semantic.load(folder / "one")
    assert detector.version == semantic.load(folder / "two").version
    [scores] = detector.score([Sample("xyzz", Part.EXCHANGE, "abcd")])
    assert 0 <= scores[Category.ANY] <= 1


def test_missing_data_end_in_a_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tokenizer(folder)

    assert training.main(["--weights", str(folder), "--data", str(folder / "none")]) == 2
    assert "licences.tsv cannot be read" in capsys.readouterr().err
