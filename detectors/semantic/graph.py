"""Writes the lower layers of a Llama as an ONNX graph that computes with 8 bits.

The graph takes `tokens`, int64 of shape (1, length), and `positions`, int64 of shape (p,), and
gives `states`, float32 of shape (layers, p, width): what leaves each layer asked for at those
positions. Attention is causal, so a state speaks of what is at its position and before.

Weights have 7 bits and one scale for each output: with the 8th, processors without VNNI would
overflow (onnxruntime, "Quantize ONNX models", reduce_range). Activations are rounded to 8 bits
for a text as a whole, so texts are never put in one batch: a score depends on its text alone.
What goes into the last projection of a layer differs between tokens by orders of magnitude, so
each row is brought to 1 before it is rounded, and back after.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors.semantic.gguf import Floats
from detectors.semantic.weights import Shape, Weights, wanted

CONTRIB: Final = "com.microsoft"
OPSET: Final = 20
MAX_TOKENS: Final = 1_024
"""Positions that are prepared: a sequence is no longer than that."""
TOP: Final = 63
"""The greatest weight after rounding: 7 bits with a sign."""
LEAST: Final = np.float32(1e-9)


@dataclass(slots=True)
class Graph:
    """Nodes and constants so far; names are numbers."""

    onnx: Any = field(default_factory=lambda: wanted("onnx"))
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def constant(self, value: NDArray[Any] | np.generic) -> str:
        """Add a constant; return its name."""
        name = f"c{len(self.constants)}"
        array = np.ascontiguousarray(value) if value.ndim else np.asarray(value)
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def node(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:  # noqa: ANN401
        """Add a node; return the name of its first output, to which others add .1, .2."""
        name = f"n{len(self.nodes)}"
        names = [name, *(f"{name}.{it}" for it in range(1, outputs))]
        made = self.onnx.helper.make_node(kind, inputs, names, name=name, **attributes)
        self.nodes.append(made)
        return name

    def linear(self, x: str, weight: Floats) -> str:
        """Add x @ weight.T, `weight` of shape (outputs, inputs), with 8 bits."""
        values, scales = rounded(weight)
        inputs = (x, self.constant(values.T), self.constant(scales))
        return self.node("DynamicQuantizeMatMul", *inputs, domain=CONTRIB)

    def linear_by_row(self, x: str, weight: Floats) -> str:
        """Add the same for an x whose rows differ by orders of magnitude."""
        last = self.constant(np.array([-1]))
        top = self.node("ReduceMax", self.node("Abs", x), last, keepdims=1)
        top = self.node("Max", top, self.constant(LEAST))
        return self.node("Mul", self.linear(self.node("Div", x, top), weight), top)


def rounded(weight: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Return values of shape (outputs, inputs) and scales (outputs,): weight ≈ values * scales."""
    scales = np.maximum(np.abs(weight).max(axis=1) / TOP, LEAST).astype(np.float32)
    return np.round(weight / scales[:, None]).astype(np.int8), scales


def build(weights: Weights, layers: Sequence[int]) -> bytes:
    """Return a graph with the states after `layers` (from 1, ascending) as an ONNX file.

    Layers above the last are left out. The same weights give the same bytes.
    """
    graph, shape = Graph(), weights.shape()
    x = _embedding(graph, weights)
    around = _Attention(graph, shape)
    asked = []
    for number in range(1, layers[-1] + 1):
        x = _layer(graph, weights, f"blk.{number - 1}", x, around)
        asked += [x] if number in layers else []
    states = graph.node("Concat", *asked, axis=0)
    graph.node("Gather", states, "positions", axis=1)
    graph.nodes[-1].output[0] = "states"
    return _file(graph, len(layers), shape.width)


def _file(graph: Graph, layers: int, width: int) -> bytes:
    helper, kinds = graph.onnx.helper, graph.onnx.TensorProto
    made = helper.make_graph(
        graph.nodes,
        "encoder",
        [
            helper.make_tensor_value_info("tokens", kinds.INT64, [1, "length"]),
            helper.make_tensor_value_info("positions", kinds.INT64, ["p"]),
        ],
        [helper.make_tensor_value_info("states", kinds.FLOAT, [layers, "p", width])],
        graph.constants,
    )
    domains = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
    model = helper.make_model(made, opset_imports=domains, ir_version=10)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _embedding(graph: Graph, weights: Weights) -> str:
    values, scales = rounded(weights.tensor("token_embd.weight"))
    row = graph.node("Gather", graph.constant(values), "tokens")
    scale = graph.node("Gather", graph.constant(scales[:, None]), "tokens")
    whole = graph.node("Cast", row, to=graph.onnx.TensorProto.FLOAT)
    return graph.node("Mul", whole, scale)


class _Attention:
    """What all layers' attention shares: the shape, the length, the angles of positions."""

    def __init__(self, graph: Graph, shape: Shape) -> None:
        self._graph, self.shape = graph, shape
        int32 = graph.onnx.TensorProto.INT32
        length = graph.node("Shape", "tokens", start=1, end=2)
        before = graph.node("Sub", length, graph.constant(np.array([1])))
        self._total = graph.node("Cast", graph.node("Squeeze", length), to=int32)
        self._before = graph.node("Cast", before, to=int32)
        pairs = np.arange(0, shape.head_width, 2) / shape.head_width
        angles = np.arange(MAX_TOKENS)[:, None] / shape.rope_base**pairs
        self._cos, self._sin = (
            graph.constant(it(angles).astype(np.float32)) for it in (np.cos, np.sin)
        )

    def over(self, packed: str) -> str:
        """Add attention over queries, keys and values that lie side by side."""
        given = (packed, "", "", "", "", self._before, self._total, self._cos, self._sin)
        return self._graph.node(
            "GroupQueryAttention",
            *given,
            outputs=3,
            domain=CONTRIB,
            num_heads=self.shape.heads,
            kv_num_heads=self.shape.kv_heads,
            do_rotary=1,
        )

    def halves(self, weight: Floats) -> Floats:
        """Return rows whose pairs lie half a head apart: GGUF keeps those of a pair together."""
        rows = weight.reshape(-1, self.shape.head_width // 2, 2, weight.shape[1])
        return rows.swapaxes(1, 2).reshape(weight.shape)


def _layer(graph: Graph, weights: Weights, name: str, x: str, around: _Attention) -> str:
    def norm(x: str, which: str) -> str:
        scale = graph.constant(weights.tensor(f"{name}.{which}.weight"))
        epsilon = around.shape.epsilon
        return graph.node("SimplifiedLayerNormalization", x, scale, axis=-1, epsilon=epsilon)

    def of(which: str) -> Floats:
        return weights.tensor(f"{name}.{which}.weight")

    queries, keys = (around.halves(of(it)) for it in ("attn_q", "attn_k"))
    packed = np.concatenate([queries, keys, of("attn_v")])
    inner = around.over(graph.linear(norm(x, "attn_norm"), packed))
    x = graph.node("Add", x, graph.linear(inner, of("attn_output")))
    normed = norm(x, "ffn_norm")  # twice rounded: cheaper than one product that is split
    gate, up = (graph.linear(normed, of(it)) for it in ("ffn_gate", "ffn_up"))
    silu = graph.node("QuickGelu", gate, domain=CONTRIB, alpha=1.0)
    inner = graph.node("Mul", silu, up)
    return graph.node("Add", x, graph.linear_by_row(inner, of("ffn_down")))
