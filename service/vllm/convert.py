"""GGUF to a folder that vLLM serves: `python convert.py MODEL.gguf FOLDER`.

Runs as a script inside vLLM's own virtual environment, so it imports nothing of Watchgate.

General converters guess the tokenizer: they lose that SmolLM splits numbers into digits. One
architecture needs so little that it is written out here: llama weights in llama.cpp's order and a
byte-level BPE whose `tokenizer.ggml.pre` is `smollm`. Anything else is refused.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, dequantize
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

CONTROL_TOKEN = 3  # the GGUF specification's token type for <|im_start|> and the like
PROGRESS_EVERY = 40

LAYER_PARTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OUTER_PARTS = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}

Fields = dict[str, Any]
Weights = NDArray[np.float16]


def convert(source: Path, target: Path) -> None:
    """Write config, tokenizer, chat template and float16 weights of `source` into `target`."""
    reader = GGUFReader(str(source))
    fields: Fields = {name: field.contents() for name, field in reader.fields.items()}
    refuse_what_is_not_smollm(fields)
    target.mkdir(parents=True, exist_ok=True)
    for name, value in json_files(fields, reader).items():
        (target / name).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    (target / "chat_template.jinja").write_text(fields["tokenizer.chat_template"], encoding="utf-8")
    tokenizer(fields).save(str(target / "tokenizer.json"))
    weights = dict(named_weights(reader, fields))
    save_file(weights, str(target / "model.safetensors"), metadata={"format": "pt"})


def refuse_what_is_not_smollm(fields: Fields) -> None:
    """Raise ValueError for an architecture or tokenizer that this file does not know."""
    found = tuple(
        fields.get(name)
        for name in ("general.architecture", "tokenizer.ggml.model", "tokenizer.ggml.pre")
    )
    if found != ("llama", "gpt2", "smollm"):
        message = f"expected a llama model with a smollm tokenizer, found {found}"
        raise ValueError(message)


def json_files(fields: Fields, reader: GGUFReader) -> dict[str, Fields]:
    """Return the small files beside the weights, by name."""
    return {
        "config.json": model_config(fields, tied="output.weight" not in tensor_names(reader)),
        "generation_config.json": special_ids(fields),
        "tokenizer_config.json": tokenizer_config(fields),
    }


def tensor_names(reader: GGUFReader) -> set[str]:
    """Return the GGUF names of all tensors."""
    return {tensor.name for tensor in reader.tensors}


def model_config(fields: Fields, *, tied: bool) -> Fields:
    """Return a transformers `LlamaConfig`; `tied`: the output layer is the embedding."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": fields["llama.embedding_length"],
        "intermediate_size": fields["llama.feed_forward_length"],
        "num_hidden_layers": fields["llama.block_count"],
        "num_attention_heads": fields["llama.attention.head_count"],
        "num_key_value_heads": fields["llama.attention.head_count_kv"],
        "head_dim": fields["llama.rope.dimension_count"],
        "vocab_size": fields["llama.vocab_size"],
        "max_position_embeddings": fields["llama.context_length"],
        "rms_norm_eps": float(f"{fields['llama.attention.layer_norm_rms_epsilon']:.6g}"),
        "rope_theta": fields["llama.rope.freq_base"],
        "tie_word_embeddings": tied,
        "dtype": "float32",
        **special_ids(fields),
    }


def special_ids(fields: Fields) -> Fields:
    """Return the ids of begin, end and padding, as every config file wants them."""
    return {
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"],
        "pad_token_id": fields["tokenizer.ggml.padding_token_id"],
    }


def tokenizer_config(fields: Fields) -> Fields:
    """Return what transformers needs beside tokenizer.json to read it unchanged."""
    tokens = fields["tokenizer.ggml.tokens"]
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": fields["llama.context_length"],
        "clean_up_tokenization_spaces": False,
        "unk_token": tokens[fields["tokenizer.ggml.unknown_token_id"]],
        **{name.removesuffix("_id"): tokens[token] for name, token in special_ids(fields).items()},
    }


def tokenizer(fields: Fields) -> Tokenizer:
    """Return the byte-level BPE, numbers split into single digits as in SmolLM's training."""
    vocabulary = {token: index for index, token in enumerate(fields["tokenizer.ggml.tokens"])}
    merges = [tuple(merge.split(" ", 1)) for merge in fields["tokenizer.ggml.merges"]]
    made = Tokenizer(models.BPE(vocabulary, merges))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(control_tokens(fields))
    return made


def control_tokens(fields: Fields) -> list[AddedToken]:
    """Return the tokens with a meaning of their own, such as <|im_start|>."""
    kinds = zip(fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"], strict=True)
    return [AddedToken(token, special=True) for token, kind in kinds if kind == CONTROL_TOKEN]


def named_weights(reader: GGUFReader, fields: Fields) -> Iterator[tuple[str, Weights]]:
    """Yield each tensor dequantised, under the name and in the order that transformers uses.

    float16 loses nothing that matters: the scales of the quantised blocks are float16 themselves.
    """
    heads = {
        "attn_q": fields["llama.attention.head_count"],
        "attn_k": fields["llama.attention.head_count_kv"],
    }
    for count, tensor in enumerate(reader.tensors, start=1):
        part = tensor.name.split(".")[-2]
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float16)
        if part in heads:
            values = rotary_order(values, heads[part])
        yield hf_name(tensor.name), np.ascontiguousarray(values)
        if count % PROGRESS_EVERY == 0 or count == len(reader.tensors):
            print(f"  tensors {count}/{len(reader.tensors)}", file=sys.stderr, flush=True)  # noqa: T201


def rotary_order(values: Weights, heads: int) -> Weights:
    """Undo llama.cpp's interleaving of the two rotary halves; shape (rows, columns) stays."""
    rows, columns = values.shape
    pairs = values.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns)


def hf_name(name: str) -> str:
    """Return transformers' name of a tensor: `blk.3.attn_q.weight` is in layer 3."""
    match name.split("."):
        case ["blk", layer, part, kind]:
            return f"model.layers.{layer}.{LAYER_PARTS[part]}.{kind}"
        case [part, kind]:
            return f"{OUTER_PARTS[part]}.{kind}"
    message = f"unknown tensor {name}"
    raise ValueError(message)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
