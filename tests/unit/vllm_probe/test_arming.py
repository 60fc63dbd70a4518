"""What is read, and what is refused since nobody has tried it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vllm_probe.arming import check, check_version
from vllm_probe.digests import template_digest, weights_digest
from vllm_probe.errors import NotArmed
from vllm_probe.parts import Pooling
from vllm_probe.probes import Binding, Probe, Probes


@pytest.fixture
def model(tmp_path: Path) -> Path:
    for number in range(3):
        (tmp_path / f"model-{number}.safetensors").write_bytes(b"%d" % number)
    return tmp_path


def config_of(model: Path) -> SimpleNamespace:
    """Return as much of a VllmConfig as is looked at."""
    text = SimpleNamespace(num_hidden_layers=30, hidden_size=4)
    return SimpleNamespace(
        use_v2_model_runner=False,
        device_config=SimpleNamespace(device_type="cpu"),
        parallel_config=SimpleNamespace(
            tensor_parallel_size=1, pipeline_parallel_size=1, data_parallel_size=1
        ),
        speculative_config=None,
        kv_transfer_config=None,
        cache_config=SimpleNamespace(prefix_match_unit=None),
        model_config=SimpleNamespace(
            runner_type="generate",
            enforce_eager=True,
            hf_text_config=text,
            model=str(model),
            tokenizer=str(model),
        ),
    )


def probes_of(model: Path) -> Probes:
    binding = Binding(weights_digest(model), layers=30, hidden_size=4)
    one = Probe("any", 16, Pooling.MEAN)
    return Probes((one,), np.zeros((1, 4), np.float32), np.zeros(1, np.float32), binding, "00")


def test_what_was_tried_is_armed(model: Path) -> None:
    check(probes_of(model), config_of(model), cached=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda it: setattr(it, "use_v2_model_runner", True), "V2 model runner"),
        (lambda it: setattr(it.device_config, "device_type", "cuda"), "tried cuda"),
        (lambda it: setattr(it.parallel_config, "tensor_parallel_size", 2), "tensor parallel"),
        (lambda it: setattr(it.parallel_config, "pipeline_parallel_size", 2), "pipeline"),
        (lambda it: setattr(it.parallel_config, "data_parallel_size", 2), "data parallel"),
        (lambda it: setattr(it, "speculative_config", object()), "speculative"),
        (lambda it: setattr(it, "kv_transfer_config", object()), "KV connector"),
        (lambda it: setattr(it.cache_config, "prefix_match_unit", 8), "--prefix-match-unit"),
        (lambda it: setattr(it.model_config, "enforce_eager", False), "--enforce-eager"),
        (lambda it: setattr(it.model_config, "runner_type", "pooling"), "generates nothing"),
        (lambda it: setattr(it.model_config.hf_text_config, "hidden_size", 5), "30 layers of 5"),
    ],
)
def test_what_was_not_tried_is_refused(
    model: Path, change: Callable[[Any], None], words: str
) -> None:
    config = config_of(model)
    change(config)
    with pytest.raises(NotArmed, match=words):
        check(probes_of(model), config, cached=True)


def test_all_reasons_are_told_at_once(model: Path) -> None:
    config = config_of(model)
    config.speculative_config = object()
    config.parallel_config.tensor_parallel_size = 8
    with pytest.raises(NotArmed, match=r"tensor parallelism.*; speculative"):
        check(probes_of(model), config, cached=True)


def test_other_weights_are_refused(model: Path) -> None:
    probes = probes_of(model)
    (model / "model-1.safetensors").write_bytes(b"fine-tuned")
    with pytest.raises(NotArmed, match="the weights are"):
        check(probes, config_of(model), cached=True)


@pytest.mark.parametrize("file", ["chat_template.jinja", "tokenizer_config.json"])
def test_another_chat_template_is_refused(model: Path, file: str) -> None:
    (model / file).write_text('{"chat_template": "{{ messages }}"}')
    bound = replace(probes_of(model).binding, template=template_digest(model))
    probes = replace(probes_of(model), binding=bound)
    check(probes, config_of(model), cached=True)
    (model / file).write_text('{"chat_template": "{{ other }}"}')
    with pytest.raises(NotArmed, match="the chat template is"):
        check(probes, config_of(model), cached=True)
    (model / file).write_bytes(b"\xff")
    if file == "tokenizer_config.json":
        with pytest.raises(NotArmed, match="cannot be read"):
            check(probes, config_of(model), cached=True)


def test_weights_of_other_names_or_order_have_another_digest(model: Path) -> None:
    before = weights_digest(model)
    (model / "model-0.safetensors").rename(model / "model-9.safetensors")
    assert weights_digest(model) != before


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotArmed, match="no file of weights"):
        weights_digest(tmp_path)


def test_versions_that_are_not_known_are_refused() -> None:
    check_version("0.32.0")
    check_version("0.32.1+cpu")
    for version in ("0.33.0", "0.3.2", "1.0"):
        with pytest.raises(NotArmed, match=r"probes read 0\.32"):
            check_version(version)
