"""Probes in a real vLLM: what they make of its states, beside Hugging Face's of the same tokens."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from service.vllm.home import default_home
from service.vllm.launch import cpu_environment
from vllm_probe.digests import weights_digest
from vllm_probe.parts import Pooling
from vllm_probe.probes import Binding, Probe, save
from vllm_probe.steps import Floats

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

ROOT: Final = Path(__file__).resolve().parents[2]
PROBES: Final = (
    Probe("any", 10, Pooling.MEAN),
    Probe("bio", 20, Pooling.MEAN),
    Probe("any", 0, Pooling.MEAN),
    Probe("cyber", 10, Pooling.MAX),
)
"""Not in the order of their layers."""
DEEP: Final = 20
DEEP_STATES_ARE_LARGER: Final = 8
"""So that scores there have the size of log-odds, too: 172 is what the first token comes to."""
LAYERS, HIDDEN = 30, 576
CLOSE: Final = 1e-3
SMALL_CHUNKS: Final[Mapping[str, Any]] = {"max_num_batched_tokens": 64, "max_num_seqs": 16}
TINY_CACHE: Final[Mapping[str, Any]] = {
    "num_gpu_blocks_override": 20,
    "block_size": 32,
    "max_model_len": 512,
}
ADAPTERS: Final[Mapping[str, Any]] = {"enable_lora": True, "max_lora_rank": 8}
GREEDY: Final = {"temperature": 0.0, "max_tokens": 24, "ignore_eos": True}
PROMPTS: Final = ["Tell me of " + "water, stone, " * number for number in range(50)]
"""Of 4 to some 200 tokens."""


def weights() -> Floats:
    random = np.random.default_rng(7)
    found: Floats = random.normal(size=(len(PROBES), HIDDEN)).astype(np.float32)
    found[[it.layer == DEEP for it in PROBES]] /= DEEP_STATES_ARE_LARGER
    return found / np.float32(np.sqrt(HIDDEN))


OFFSETS: Final = np.array([0.1, -0.2, 0.3, 0.0], np.float32)


@dataclass(frozen=True)
class Lab:
    """Runs engines with probes, and asks Hugging Face."""

    folder: Path
    model: Path
    probes: Path

    def generate(
        self,
        runs: Sequence[Mapping[str, Any]],
        *,
        probed: bool = True,
        cached: bool = False,
        **engine: Any,  # noqa: ANN401  (keywords of vLLM's LLM)
    ) -> dict[str, Any]:
        """Serve prompts on an engine of its own."""
        path = self.folder / "sockets" / "0123456789abcdef.sock"
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        defaults = {
            "model": str(self.model),
            "dtype": "float32",
            "enforce_eager": True,
            "max_model_len": 1024,
            "enable_prefix_caching": False,
            "disable_log_stats": False,
        }
        spec = {"engine": defaults | engine, "runs": list(runs)}
        environment = {}
        if probed:
            spec["socket"] = str(path)
            environment = {
                "WATCHGATE_PROBES": str(self.probes),
                "WATCHGATE_PROBE_SOCKETS": str(path.parent),
                "WATCHGATE_PROBE_CACHED": str(int(cached)),
            }
        return self._run("generate", spec, environment)

    def states(self, groups: Sequence[Mapping[str, Any]]) -> list[list[Floats]]:
        """Return the scores of all tokens of groups of sequences, from Hugging Face's states."""
        spec = {
            "model": str(self.model),
            "groups": groups,
            "layers": [it.layer for it in PROBES],
            "weights": weights().tolist(),
            "offsets": OFFSETS.tolist(),
        }
        found = self._run("states", spec, {})["groups"]
        return [[np.array(it, np.float32) for it in group] for group in found]

    def _run(self, what: str, spec: Mapping[str, Any], more: Mapping[str, str]) -> dict[str, Any]:
        result = self.folder / f"{what}.json"
        environment = {
            **os.environ,
            **cpu_environment(os.cpu_count() or 1),
            "PYTHONPATH": f"{self.folder / 'site'}:{ROOT}",
            **more,
        }
        script = ROOT / "tests/real_parts/probe_engine.py"
        done = subprocess.run(
            [str(default_home().python), "-P", str(script), what, str(result)],
            input=json.dumps(spec),
            text=True,
            env=environment,
            capture_output=True,
            timeout=550,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
        found: dict[str, Any] = json.loads(result.read_text())
        return found


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    folder, home = tmp_path_factory.mktemp("probes"), default_home()
    model = home.models / "smollm2"
    binding = Binding(weights_digest(model), LAYERS, HIDDEN)
    save(folder / "probes", PROBES, weights(), OFFSETS, binding)
    announce_plugin(folder / "site")
    return Lab(folder, model, folder / "probes")


def announce_plugin(site: Path) -> None:
    """Let vLLM find the plugin as it does where Watchgate is installed beside it."""
    info = site / "watchgate-0.0.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: watchgate\nVersion: 0.0.0\n")
    entry = "[vllm.general_plugins]\nwatchgate_probe = vllm_probe.plugin:register\n"
    (info / "entry_points.txt").write_text(entry)


def expected(scores: Floats, read: slice) -> Floats:
    """Pool the scores of a part's tokens as the probes say."""
    part = scores[read]
    by_pooling = {Pooling.MEAN: part.mean(axis=0), Pooling.MAX: part.max(axis=0)}
    return np.array([by_pooling[it.pooling][number] for number, it in enumerate(PROBES)])


def assert_told(lab: Lab, result: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> None:
    """Hold what was told of each run's requests against Hugging Face's states of the tokens."""
    groups = []
    for run, outputs in zip(runs, result["runs"], strict=True):
        sequences = [[*it["prompt"], *answer] for it in outputs for answer in it["answers"]]
        groups.append({"lora": run.get("lora"), "sequences": sequences})
    for outputs, scores in zip(result["runs"], lab.states(groups), strict=True):
        pairs = [(len(it["prompt"]), len(answer)) for it in outputs for answer in it["answers"]]
        told = [parts for output in outputs for parts in told_of(result, output)]
        for (asked, answered), of_tokens, parts in zip(pairs, scores, told, strict=True):
            assert_parts(parts, asked, answered, of_tokens)


def assert_parts(parts: Mapping[str, Any], asked: int, answered: int, of_tokens: Floats) -> None:
    prompt, answer = parts["prompt"], parts["answer"]
    assert (prompt["tokens"], prompt["read"]) == (asked, asked)
    assert prompt["scores"] == pytest.approx(expected(of_tokens, slice(asked)), abs=CLOSE)
    assert answer["read"] == answered - 1  # the last token is not computed
    of_answer = expected(of_tokens, slice(asked, asked + answered - 1))
    assert answer["scores"] == pytest.approx(of_answer, abs=CLOSE)
    assert prompt["ended"]
    assert answer["ended"]


def told_of(result: Mapping[str, Any], output: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what was told of an output's answers, in their order."""
    base, count = output["id"], len(output["answers"])
    names = [base] if count == 1 else [f"{number}_{base}" for number in range(count)]
    told = {id_.partition("-")[0]: parts for id_, parts in result["told"].items()}
    return [told[it.partition("-")[0]] for it in names]


def unshared(prompts: Sequence[str], salt: str) -> list[Mapping[str, str]]:
    """Let none of them find its beginning in the cache."""
    return [{"prompt": it, "cache_salt": f"{salt}{n}"} for n, it in enumerate(prompts)]


READ: Final[Sequence[Mapping[str, Any]]] = [
    {"prompts": unshared(PROMPTS[:1], "alone"), "sampling": GREEDY},
    {"prompts": unshared(PROMPTS, "together"), "sampling": GREEDY},
]
ASKED_TWICE: Final = {"prompts": PROMPTS[40:44], "sampling": GREEDY}
QUESTIONS: Final = {
    "prompts": [f"What is {number} times {number}?" for number in range(100)],
    "sampling": {**GREEDY, "max_tokens": 16},
}


@pytest.fixture(scope="module")
def plain(lab: Lab) -> dict[str, Any]:
    """What an engine tells that keeps prompts in its cache, and not their scores."""
    runs = [*READ, ASKED_TWICE, ASKED_TWICE, QUESTIONS]
    return lab.generate(runs, enable_prefix_caching=True)


def test_scores_are_those_of_the_states_alone_and_batched(lab: Lab, plain: dict[str, Any]) -> None:
    assert plain["hello"][3] == ["any", "bio", "any", "cyber"]
    assert_told(lab, {**plain, "runs": plain["runs"][:2]}, READ)


def test_what_came_from_a_cache_is_told_as_unread(plain: dict[str, Any]) -> None:
    for second in plain["runs"][3]:
        (told,) = told_of(plain, second)
        length = len(second["prompt"])
        assert second["cached"] > 0
        assert told["prompt"]["tokens"] == length
        assert told["prompt"]["read"] == length - second["cached"]


def test_output_tokens_are_the_same_with_the_plugin(lab: Lab, plain: dict[str, Any]) -> None:
    without = lab.generate([QUESTIONS], probed=False, enable_prefix_caching=True)
    assert not without["told"]
    answers = [[it["answers"] for it in run] for run in (plain["runs"][4], without["runs"][0])]
    assert answers[0] == answers[1]


def test_scores_are_the_same_in_chunks_with_several_answers_preempted_and_of_adapters(
    lab: Lab,
) -> None:
    several = {"temperature": 1.0, "max_tokens": 60, "ignore_eos": True, "n": 3}
    one = {"prompts": PROMPTS[:10], "sampling": GREEDY}
    runs = [
        {"prompts": PROMPTS[:12], "sampling": several},
        {**one, "lora": str(adapter_in(lab.folder / "adapter"))},
        one,
    ]
    result = lab.generate(runs, **SMALL_CHUNKS, **TINY_CACHE, **ADAPTERS)
    assert result["preemptions"][0] > 0
    assert_told(lab, result, runs)


def test_what_came_from_a_cache_is_read_where_its_scores_are_kept(lab: Lab) -> None:
    runs = [ASKED_TWICE, ASKED_TWICE]
    result = lab.generate(runs, cached=True, enable_prefix_caching=True)
    assert all(it["cached"] > 0 for it in result["runs"][1])
    assert_told(lab, result, runs)


def adapter_in(folder: Path) -> Path:
    """Write a LoRA adapter that changes what the model computes, and return its folder."""
    random = np.random.default_rng(3)
    tensors = {}
    for layer in range(LAYERS):
        for module, width in (("q_proj", 576), ("v_proj", 192)):
            name = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            low = random.normal(size=(8, HIDDEN)) / np.sqrt(HIDDEN)
            tensors[f"{name}.lora_A.weight"] = low.astype(np.float32)
            tensors[f"{name}.lora_B.weight"] = random.normal(size=(width, 8)).astype(np.float32) / 4
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(safetensors_of(tensors))
    config = {"peft_type": "LORA", "r": 8, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps({**config, "bias": "none"}))
    return folder


def safetensors_of(tensors: Mapping[str, Floats]) -> bytes:
    """Spell tensors as the format says: the header's length, the header, the numbers."""
    header, data = {}, b""
    for name, tensor in tensors.items():
        ends = [len(data), len(data) + tensor.nbytes]
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": ends}
        data += tensor.tobytes()
    told = json.dumps(header).encode()
    return len(told).to_bytes(8, "little") + told + data
