"""Which weights a model has: a digest over its files."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from vllm_probe.errors import NotArmed

_PATTERNS: Final = ("*.safetensors", "*.bin")
_AT_ONCE: Final = 16


def weights_digest(folder: Path) -> str:
    """Return SHA-256 over names and SHA-256 of a model's weight files, in hexadecimal digits.

    Files are read side by side: some two gigabytes a second and core.

    Raises:
        NotArmed: there is none.
    """
    files = next((found for it in _PATTERNS if (found := sorted(folder.glob(it)))), [])
    if not files:
        raise NotArmed(f"{folder} holds no file of weights ({', '.join(_PATTERNS)})")
    whole = hashlib.sha256()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for file, digest in zip(files, pool.map(_digest, files), strict=True):
            whole.update(f"{file.name} {digest}\n".encode())
    return whole.hexdigest()


def template_digest(folder: Path) -> str:
    """Return the SHA-256 of a model's chat template, in hexadecimal digits; of none that of "".

    Raises:
        NotArmed: the tokenizer's settings cannot be read.
    """
    path = folder / "chat_template.jinja"
    try:
        if path.exists():
            return hashlib.sha256(path.read_bytes()).hexdigest()
        path = folder / "tokenizer_config.json"
        found = json.loads(path.read_text()).get("chat_template") if path.exists() else None
    except (OSError, ValueError) as error:
        raise NotArmed(f"{path} cannot be read: {error}") from None
    text = found if isinstance(found, str) else json.dumps(found, sort_keys=True) if found else ""
    return hashlib.sha256(text.encode()).hexdigest()


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
