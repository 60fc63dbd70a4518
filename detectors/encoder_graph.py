"""Writes the lower layers of a BERT as an ONNX graph with weights of 8 bits.

Reads a folder as Hugging Face's transformers lay it out: `config.json`, `model.safetensors`. The
graph takes `tokens`, int64 of shape (batch, length) without padding, and gives one output for each
layer that is asked for, float32 of shape (batch, length, width): what leaves that layer.

Weights keep 8 bits in blocks of 32 with a scale and a zero point each; activations are rounded to
8 bits within `MatMulNBits`, block by block, so that a text's states depend on nothing else in its
batch. That node, `GatherBlockQuantized` and `MultiHeadAttention` are of onnxruntime's own domain.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.errors import ArtefactError

CONTRIB = "com.microsoft"
BITS = 8
BLOCK = 32
ROUND_TO_INT8 = 4
"""`MatMulNBits`' accuracy level: activations are rounded to 8 bits."""

helper, numpy_helper = (import_module(f"onnx.{it}") for it in ("helper", "numpy_helper"))
TensorProto = import_module("onnx").TensorProto

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Graph:
    """Nodes and constants so far; a node has one output, named as the node."""

    config: Mapping[str, Any]
    weights: Mapping[str, Floats]
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:  # noqa: ANN401
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def copied(self, name: str) -> str:
        """Add one of the model's tensors as it is."""
        return self.constant(name, self.weights[name])

    def linear(self, x: str, name: str) -> str:
        """Add x @ weight.T + bias, `weight` of shape (outputs, inputs)."""
        weight = self.weights[f"{name}.weight"]
        values, scales, zeros = quantise(weight)
        inputs = [
            x,
            self.constant(f"{name}.values", values),
            self.constant(f"{name}.scales", scales.ravel()),
            self.constant(f"{name}.zeros", zeros.ravel()),
            "",  # an order of columns: theirs
            self.copied(f"{name}.bias"),
        ]
        return self.node(
            "MatMulNBits",
            inputs,
            name,
            domain=CONTRIB,
            K=weight.shape[1],
            N=weight.shape[0],
            bits=BITS,
            block_size=BLOCK,
            accuracy_level=ROUND_TO_INT8,
        )

    def norm(self, x: str, name: str) -> str:
        return self.node(
            "LayerNormalization",
            [x, self.copied(f"{name}.weight"), self.copied(f"{name}.bias")],
            name,
            axis=-1,
            epsilon=self.config["layer_norm_eps"],
        )


def build(folder: Path, layers: Sequence[int]) -> bytes:
    """Return a graph with the outputs of `layers` (from 1, ascending) as an ONNX file.

    Layers above the last are left out. The same folder gives the same bytes.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") != "bert" or config["num_hidden_layers"] < layers[-1]:
        raise ArtefactError(f"{folder} must hold a BERT of at least {layers[-1]} layers")
    graph = _Graph(config, read_safetensors(folder / "model.safetensors"))
    x = _embedding(graph)
    outputs = []
    for number in range(1, layers[-1] + 1):
        x = _layer(graph, x, f"encoder.layer.{number - 1}")
        outputs += [x] if number in layers else []
    model: bytes = _model(graph, outputs).SerializeToString(deterministic=True)
    return model


def _model(graph: _Graph, outputs: Sequence[str]) -> Any:  # noqa: ANN401 - protobuf
    shape = ["batch", "length", graph.config["hidden_size"]]
    made = helper.make_graph(
        graph.nodes,
        "encoder",
        [helper.make_tensor_value_info("tokens", TensorProto.INT64, shape[:2])],
        [helper.make_tensor_value_info(it, TensorProto.FLOAT, shape) for it in outputs],
        graph.constants,
    )
    domains = [helper.make_opsetid("", 20), helper.make_opsetid(CONTRIB, 1)]
    return helper.make_model(made, opset_imports=domains, ir_version=10)


def _embedding(graph: _Graph) -> str:
    """Add words, positions and the first sentence's type."""
    words = _words(graph)
    places = graph.weights["embeddings.position_embeddings.weight"]
    kind = graph.weights["embeddings.token_type_embeddings.weight"][0]
    table = graph.constant("places", places + kind)
    graph.node("Shape", ["tokens"], "length", start=1, end=2)
    start = graph.constant("start", np.array([0], np.int64))
    here = graph.node("Slice", [table, start, "length"], "here")
    return graph.norm(graph.node("Add", [words, here], "sum"), "embeddings.LayerNorm")


def _words(graph: _Graph) -> str:
    values, scales, zeros = quantise(graph.weights["embeddings.word_embeddings.weight"])
    half = graph.node(
        "GatherBlockQuantized",
        [
            graph.constant("words.values", values.reshape(len(values), -1)),
            "tokens",
            graph.constant("words.scales", scales.astype(np.float16)),
            graph.constant("words.zeros", zeros),
        ],
        "words.half",
        domain=CONTRIB,
        bits=BITS,
        block_size=BLOCK,
        gather_axis=0,
        quantize_axis=1,
    )
    return graph.node("Cast", [half], "words", to=TensorProto.FLOAT)


def _layer(graph: _Graph, x: str, name: str) -> str:
    inner = graph.node(
        "MultiHeadAttention",
        [graph.linear(x, f"{name}.attention.self.{it}") for it in ("query", "key", "value")],
        f"{name}.attention",
        domain=CONTRIB,
        num_heads=graph.config["num_attention_heads"],
    )
    inner = graph.linear(inner, f"{name}.attention.output.dense")
    x = graph.node("Add", [x, inner], f"{name}.attended")
    x = graph.norm(x, f"{name}.attention.output.LayerNorm")
    inner = graph.linear(x, f"{name}.intermediate.dense")
    inner = graph.node("Gelu", [inner], f"{name}.gelu")
    inner = graph.linear(inner, f"{name}.output.dense")
    x = graph.node("Add", [x, inner], f"{name}.sum")
    return graph.norm(x, f"{name}.output.LayerNorm")


def quantise(weight: Floats) -> tuple[Bytes, Floats, Bytes]:
    """Round to 8 bits: weight ≈ (values - zeros) * scales, block by block along a row.

    Shapes for (n, k): values (n, k / BLOCK, BLOCK), scales and zeros (n, k / BLOCK).
    """
    rows, columns = weight.shape
    blocks = weight.reshape(rows, columns // BLOCK, BLOCK)
    low, high = np.minimum(blocks.min(-1), 0), np.maximum(blocks.max(-1), 0)
    top = 2**BITS - 1
    scales = np.where(high > low, (high - low) / top, 1).astype(np.float32)
    zeros = np.clip(np.round(-low / scales), 0, top)
    values = np.clip(np.round(blocks / scales[..., None] + zeros[..., None]), 0, top)
    return values.astype(np.uint8), scales, zeros.astype(np.uint8)


def read_safetensors(path: Path) -> dict[str, Floats]:
    """Return the float32 tensors of a file: a length, a JSON header, raw bytes; no code."""
    try:
        blob = path.read_bytes()
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read: {error.strerror}") from error
    start = 8 + int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8:start])
    return {
        name: _tensor(blob[start:], entry)
        for name, entry in header.items()
        if name != "__metadata__" and entry["dtype"] == "F32"
    }


def _tensor(data: bytes, entry: Mapping[str, Any]) -> Floats:
    begin, end = entry["data_offsets"]
    return np.frombuffer(data[begin:end], np.float32).reshape(entry["shape"])
