"""The pepper: the secret under which keys are digested."""

import os
import secrets
from pathlib import Path
from typing import Final

from service.errors import ConfigError

MIN_BYTES: Final = 16
_MADE_BYTES: Final = 32


def load_pepper(data_dir: Path, configured: str | None) -> bytes:
    """Return the configured pepper, or that of `data_dir/pepper`, a file made on first use.

    Raises:
        ConfigError: it is shorter than 16 bytes, or the file cannot be read or made.
    """
    if configured is not None:
        return _long_enough(configured.encode(), "auth.pepper")
    path = data_dir / "pepper"
    try:
        if not path.exists():
            _make(path)
        return _long_enough(path.read_bytes().strip(), str(path))
    except OSError as error:
        raise ConfigError(f"auth.pepper: {path}: {error.strerror}") from None


def _make(path: Path) -> None:
    """Write a new pepper whole, under another name, then link it unless somebody was faster."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".pepper-{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(_MADE_BYTES) + "\n")
            file.flush()
            os.fsync(descriptor)
        _link_first(draft, path)
    finally:
        draft.unlink()


def _link_first(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _long_enough(pepper: bytes, where: str) -> bytes:
    if len(pepper) < MIN_BYTES:
        raise ConfigError(
            f"auth.pepper: {where} has {len(pepper)} bytes; at least {MIN_BYTES} are needed",
        )
    return pepper
