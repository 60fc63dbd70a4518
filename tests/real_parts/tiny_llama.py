"""Random weights of a small Llama, laid out as llama.cpp does, and what they compute in numpy."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

WIDTH, HEADS, KV_HEADS, WIDE, LAYERS = 64, 4, 2, 96, 3
HEAD: Final = WIDTH // HEADS
EPSILON, ROPE_BASE = 1e-5, 10_000.0
ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz?Ċ"
TOKENS: Final = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>",
    *ALPHABET, "us", "er", "user", "as", "ass",
]  # fmt: skip
MERGES: Final = ["u s", "e r", "us er", "a s", "as s"]

Floats = NDArray[np.float32]


def weights(seed: int = 0) -> dict[str, Floats]:
    """Return random tensors by their names."""
    rng = np.random.default_rng(seed)

    def random(*shape: int) -> Floats:
        found: Floats = (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
        return found

    found = {"token_embd.weight": random(len(TOKENS), WIDTH) * 8}
    kv = KV_HEADS * HEAD
    for number in range(LAYERS):
        shapes = {
            "attn_q": (WIDTH, WIDTH), "attn_k": (kv, WIDTH), "attn_v": (kv, WIDTH),
            "attn_output": (WIDTH, WIDTH), "ffn_gate": (WIDE, WIDTH), "ffn_up": (WIDE, WIDTH),
            "ffn_down": (WIDTH, WIDE),
        }  # fmt: skip
        found |= {f"blk.{number}.{it}.weight": random(*shape) for it, shape in shapes.items()}
        for it in ("attn_norm", "ffn_norm"):
            found[f"blk.{number}.{it}.weight"] = 1 + random(WIDTH)
    return found


def fields() -> dict[str, Any]:
    """Return the fields of the file's head."""
    return {
        "general.architecture": "llama",
        "llama.embedding_length": WIDTH,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": KV_HEADS,
        "llama.attention.layer_norm_rms_epsilon": EPSILON,
        "llama.rope.freq_base": ROPE_BASE,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": TOKENS,
        "tokenizer.ggml.merges": MERGES,
    }


def write(path: Path, told: Mapping[str, Any], tensors: Mapping[str, Floats]) -> Path:
    """Write a GGUF file, all tensors in full precision."""
    head, data = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(told)), b""
    for name, value in told.items():
        head += _text(name) + _field(value)
    for name, tensor in tensors.items():
        sizes = tensor.shape[::-1]
        head += _text(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, 0, len(data))
        data += tensor.tobytes().ljust(-(-tensor.nbytes // 32) * 32, b"\0")
    path.write_bytes(head.ljust(-(-len(head) // 32) * 32, b"\0") + data)
    return path


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _field(value: object) -> bytes:
    match value:
        case str():
            return struct.pack("<I", 8) + _text(value)
        case int():
            return struct.pack("<II", 4, value)
        case float():
            return struct.pack("<If", 6, value)
        case list():
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_text, value))
    raise TypeError(type(value))


def states(tensors: Mapping[str, Floats], tokens: list[int], layers: int) -> Floats:
    """Return what leaves the last of the layers, of shape (tokens, width)."""
    x = tensors["token_embd.weight"][tokens]
    for number in range(layers):

        def of(name: str, layer: int = number) -> Floats:
            return tensors[f"blk.{layer}.{name}.weight"]

        normal = _norm(x, of("attn_norm"))
        x = x + _attention(normal, of("attn_q"), of("attn_k"), of("attn_v")) @ of("attn_output").T
        normal = _norm(x, of("ffn_norm"))
        gate = normal @ of("ffn_gate").T
        x = x + (gate / (1 + np.exp(-gate)) * (normal @ of("ffn_up").T)) @ of("ffn_down").T
    return x


def _norm(x: Floats, scale: Floats) -> Floats:
    found: Floats = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + EPSILON) * scale
    return found


def _attention(x: Floats, query: Floats, key: Floats, value: Floats) -> Floats:
    q, k = _turned(x @ query.T), _turned(x @ key.T)
    v = (x @ value.T).reshape(len(x), -1, HEAD)
    out = []
    for head in range(HEADS):
        shared = head // (HEADS // KV_HEADS)
        scores = q[:, head] @ k[:, shared].T / np.sqrt(HEAD)
        scores[np.triu_indices(len(x), 1)] = -np.inf
        share = np.exp(scores - scores.max(axis=1, keepdims=True))
        out.append(share / share.sum(axis=1, keepdims=True) @ v[:, shared])
    return np.concatenate(out, axis=1)


def _turned(x: Floats) -> Floats:
    """Turn pairs of neighbours by angles that grow with the position (RoPE)."""
    pairs = x.reshape(len(x), -1, HEAD // 2, 2)
    angles = np.arange(len(x))[:, None] / ROPE_BASE ** (np.arange(0, HEAD, 2) / HEAD)
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    one, other = pairs[..., 0], pairs[..., 1]
    turned = np.stack([one * cos - other * sin, one * sin + other * cos], axis=-1)
    return turned.reshape(len(x), -1, HEAD)
