"""Whether probes may read this vLLM, and its model: what was not tested is refused.

Each way of running vLLM that is not read yet is one entry here, and one place to take it out.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from vllm_probe.digests import template_digest, weights_digest
from vllm_probe.errors import NotArmed
from vllm_probe.probes import Probes

SUPPORTED: Final = ("0.32.",)
"""Beginnings of vLLM's versions whose inside is known."""


def check_version(version: str) -> None:
    """Refuse a vLLM whose inside is not known.

    Raises:
        NotArmed: it is such a one.
    """
    if not version.startswith(SUPPORTED):
        known = ", ".join(f"{it}*" for it in SUPPORTED)
        raise NotArmed(f"vLLM is {version}; probes read {known}")


def check(probes: Probes, config: Any, *, cached: bool) -> None:  # noqa: ANN401  (a VllmConfig)
    """Refuse a vLLM that runs in a way that was not tested, or has another model.

    `cached`: scores of the tokens in its cache are to be kept.

    Raises:
        NotArmed: with all reasons in one sentence.
    """
    reasons = [*_ways(config), *_models(probes, config)]
    if cached and config.kv_transfer_config is not None:
        reasons.append("what a KV connector brings into the cache was not read here")
    if cached and config.cache_config.prefix_match_unit is not None:
        reasons.append("what --prefix-match-unit copies within the cache is not followed yet")
    if reasons:
        raise NotArmed("; ".join(reasons))


def _ways(config: Any) -> Iterator[str]:  # noqa: ANN401
    if config.use_v2_model_runner:
        yield "the V2 model runner is not read yet: set VLLM_USE_V2_MODEL_RUNNER=0"
    if config.device_config.device_type != "cpu":
        yield f"nobody has tried {config.device_config.device_type} yet"
    parallel = config.parallel_config
    if parallel.tensor_parallel_size > 1:
        yield "tensor parallelism is not read yet"
    if parallel.pipeline_parallel_size > 1:
        yield "pipeline parallelism is not read yet"
    if parallel.data_parallel_size > 1:
        yield "data parallelism is not read yet: start several vLLMs"
    if not config.model_config.enforce_eager:
        yield "a compiled model is not read yet: start vLLM with --enforce-eager"
    if config.speculative_config is not None:
        yield "speculative decoding is not read yet"
    if config.model_config.runner_type != "generate":
        yield "the model generates nothing"


def _models(probes: Probes, config: Any) -> Iterator[str]:  # noqa: ANN401
    text, bound = config.model_config.hf_text_config, probes.binding
    found = (text.num_hidden_layers, text.hidden_size)
    if found != (bound.layers, bound.hidden_size):
        yield (
            f"the model has {found[0]} layers of {found[1]} numbers, and the probes are of one "
            f"that has {bound.layers} of {bound.hidden_size}"
        )
        return
    folder = Path(config.model_config.model)
    if (digest := weights_digest(folder)) != bound.weights:
        yield (
            f"the weights are {digest}, and the probes are of {bound.weights}: train others, "
            "or if the model is the same, saved anew, use `watchgate probes bind`"
        )
    if not bound.template:
        return
    if (template := template_digest(Path(config.model_config.tokenizer))) != bound.template:
        yield f"the chat template is {template}, and the probes are of {bound.template}"
