"""Run by vLLM's own Python: what an engine generates and tells, and what the states say.

python probe_engine.py generate < SPEC > RESULT      SPEC, RESULT: see the functions below
python probe_engine.py states < SPEC > RESULT
"""

import json
import socket
import struct
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec


class Listener(threading.Thread):
    """A gateway's end of the socket: keeps the last that it was told of each part."""

    def __init__(self, path: str) -> None:
        super().__init__(daemon=True)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(path)
        self._server.listen()
        self.hello: Any = None
        self.told: dict[str, dict[str, Any]] = {}

    def run(self) -> None:
        connection, _ = self._server.accept()
        stream = connection.makefile("rb")
        while head := stream.read(4):
            (length,) = struct.unpack("!I", head)
            message = msgspec.msgpack.decode(stream.read(length))
            if self.hello is None:
                self.hello = message
                continue
            for request, part, tokens, read, scores, ended in message:
                said = {"tokens": tokens, "read": read, "scores": scores, "ended": ended}
                self.told.setdefault(request, {})[part] = said


def generate(spec: dict[str, Any]) -> dict[str, Any]:
    """Serve prompts: {engine: keywords, runs: [{prompts, sampling, lora}], socket}."""
    from vllm import LLM, SamplingParams  # noqa: PLC0415
    from vllm.lora.request import LoRARequest  # noqa: PLC0415

    listener = None
    if spec.get("socket"):
        listener = Listener(spec["socket"])
        listener.start()
    engine = LLM(**spec["engine"])
    runs = []
    for run in spec["runs"]:
        lora = LoRARequest("tests", 1, run["lora"]) if run.get("lora") else None
        outputs = engine.generate(
            run["prompts"], SamplingParams(**run["sampling"]), lora_request=lora
        )
        runs.append(
            [
                {
                    "id": it.request_id,
                    "prompt": list(it.prompt_token_ids),
                    "cached": it.num_cached_tokens,
                    "answers": [list(one.token_ids) for one in it.outputs],
                }
                for it in outputs
            ]
        )
    # the end of the last requests is told with the step after theirs
    engine.generate(["."], SamplingParams(max_tokens=1))
    preempted = [it.value for it in engine.get_metrics() if it.name == "vllm:num_preemptions"]
    told = listener.told if listener else {}
    hello = listener.hello if listener else None
    return {"runs": runs, "told": told, "hello": hello, "preemptions": preempted}


def states(spec: dict[str, Any]) -> dict[str, Any]:
    """Score sequences by Hugging Face's states: {model, layers, weights, offsets, groups}.

    A group is {lora, sequences}; the answer has a list of scores for each.
    """
    import numpy as np  # noqa: PLC0415
    import torch  # noqa: PLC0415
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    weights, offsets = np.array(spec["weights"], np.float32), np.array(spec["offsets"], np.float32)

    def scores(model: Any, tokens: list[int]) -> Any:  # noqa: ANN401
        with torch.no_grad():
            found = model(torch.tensor([tokens]), output_hidden_states=True).hidden_states
        columns = [
            found[layer][0].numpy() @ weights[number] + offsets[number]
            for number, layer in enumerate(spec["layers"])
        ]
        return np.stack(columns, axis=1).tolist()

    groups = []
    for group in spec["groups"]:
        model = AutoModelForCausalLM.from_pretrained(spec["model"], dtype=torch.float32)
        if group["lora"]:
            merge(model, Path(group["lora"]))
        groups.append([scores(model, it) for it in group["sequences"]])
    return {"groups": groups}


def merge(model: Any, folder: Path) -> None:  # noqa: ANN401
    """Add a LoRA adapter to the weights."""
    from safetensors.torch import load_file  # noqa: PLC0415

    config = json.loads((folder / "adapter_config.json").read_text())
    tensors = load_file(folder / "adapter_model.safetensors")
    scale = config["lora_alpha"] / config["r"]
    modules = dict(model.named_modules())
    for name, low in tensors.items():
        if name.endswith("lora_A.weight"):
            high = tensors[name.replace("lora_A", "lora_B")]
            module = modules[name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")]
            module.weight.data += scale * (high.float() @ low.float())


if __name__ == "__main__":
    given = json.load(sys.stdin)
    answer = {"generate": generate, "states": states}[sys.argv[1]](given)
    Path(sys.argv[2]).write_text(json.dumps(answer))
