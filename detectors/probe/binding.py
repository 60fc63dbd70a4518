"""What probes belong to: the weights, layers and chat template of one model."""

import json
from pathlib import Path
from typing import Final

from detectors import artefacts
from detectors.errors import DataError
from detectors.probe import CARD, HEADS, NAME
from detectors.probe.detector import load, save_content
from vllm_probe import probes
from vllm_probe.digests import template_digest, weights_digest
from vllm_probe.errors import ProbeError
from vllm_probe.probes import Binding

_BOUND: Final = """
## Bound to other weights
The probes `{before}` are `{after}` since they were bound to the weights `{weights}`. Nothing above
was measured on those.
"""


def binding_of(model: Path) -> Binding:
    """Return what probes of a model are bound to.

    Raises:
        DataError: the folder holds no model that vLLM would serve.
    """
    try:
        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
        config = config.get("text_config", config)
        layers, hidden = int(config["num_hidden_layers"]), int(config["hidden_size"])
        return Binding(weights_digest(model), layers, hidden, template_digest(model))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ProbeError) as error:
        raise DataError(f"{model} holds no model that vLLM would serve: {error}") from None


def bind(folder: Path, model: Path) -> tuple[str, str]:
    """Bind probes, with their heads, to another model of the same shape; return both digests.

    Raises:
        ArtefactError: the probes are damaged.
        DataError: the model has another number of layers, or another hidden size.
    """
    load(folder)  # heads and probes fit, or nothing is changed
    found, bound = probes.load(folder), binding_of(model)
    shape = bound.layers, bound.hidden_size
    if shape != (found.binding.layers, found.binding.hidden_size):
        raise DataError(
            f"{model} has {shape[0]} layers of {shape[1]} numbers, and the probes are of a model "
            f"that has {found.binding.layers} of {found.binding.hidden_size}: train others"
        )
    content = artefacts.load(folder / HEADS, NAME).content
    digest = probes.save(folder, found.probes, found.weights, found.offsets, bound)
    save_content(folder, digest, content)
    if digest != found.digest and (card := folder / CARD).exists():
        with card.open("a", encoding="utf-8") as file:
            file.write(_BOUND.format(before=found.digest, after=digest, weights=bound.weights))
    return found.digest, digest
