"""A sequence classifier of one small layer with random weights: vLLM serves it in seconds.

Its judgements mean nothing; that they are passed on unchanged is what tests look at.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LABELS: Final = ("benign", "attack", "spam")
HIDDEN: Final = 64
HEADS: Final = 2
MLP: Final = 128
VOCABULARY: Final = 49_152
"""SmolLM2's, whose tokenizer it borrows."""
TOKENIZER: Final = ("tokenizer.json", "tokenizer_config.json")

Weights = Mapping[str, NDArray[np.float32]]


def make_classifier(folder: Path, smollm2: Path) -> Path:
    """Write config, tokenizer and weights (13 MB) into a folder, and return it."""
    folder.mkdir(parents=True)
    for name in TOKENIZER:
        shutil.copy(smollm2 / name, folder / name)
    (folder / "config.json").write_text(json.dumps(_config(), indent=2), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(as_safetensors(_weights()))
    return folder


def as_safetensors(weights: Weights) -> bytes:
    """Lay out tensors as the safetensors format says: length, JSON header, bytes in order."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, tensor in weights.items():
        end = at + tensor.nbytes
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [at, end]}
        at = end
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    return (
        len(head).to_bytes(8, "little") + head + b"".join(it.tobytes() for it in weights.values())
    )


def _config() -> dict[str, Any]:
    return {
        "architectures": ["LlamaForSequenceClassification"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": HIDDEN,
        "intermediate_size": MLP,
        "num_hidden_layers": 1,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "head_dim": HIDDEN // HEADS,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 2_048,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10_000.0,
        "tie_word_embeddings": False,
        "dtype": "float32",
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
        "id2label": dict(enumerate(LABELS)),
        "label2id": {label: number for number, label in enumerate(LABELS)},
    }


def _weights() -> Weights:
    random = np.random.default_rng(0)
    layer = "model.layers.0"
    shapes = {
        "model.embed_tokens.weight": (VOCABULARY, HIDDEN),
        f"{layer}.self_attn.q_proj.weight": (HIDDEN, HIDDEN),
        f"{layer}.self_attn.k_proj.weight": (HIDDEN, HIDDEN),
        f"{layer}.self_attn.v_proj.weight": (HIDDEN, HIDDEN),
        f"{layer}.self_attn.o_proj.weight": (HIDDEN, HIDDEN),
        f"{layer}.mlp.gate_proj.weight": (MLP, HIDDEN),
        f"{layer}.mlp.up_proj.weight": (MLP, HIDDEN),
        f"{layer}.mlp.down_proj.weight": (HIDDEN, MLP),
        "score.weight": (len(LABELS), HIDDEN),
    }
    norms = (f"{layer}.input_layernorm", f"{layer}.post_attention_layernorm", "model.norm")
    drawn = {
        name: random.standard_normal(shape, np.float32) / np.float32(np.sqrt(shape[-1]))
        for name, shape in shapes.items()
    }
    return drawn | {f"{name}.weight": np.ones(HIDDEN, np.float32) for name in norms}
