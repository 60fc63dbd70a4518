"""The pepper: the secret under which keys are digested."""

from pathlib import Path
from typing import Final

from service.errors import ConfigError
from service.store.secret_file import secret_in

MIN_BYTES: Final = 16


def load_pepper(data_dir: Path, configured: str | None) -> bytes:
    """Return the configured pepper, or that of `data_dir/pepper`, a file made on first use.

    Raises:
        ConfigError: it is shorter than 16 bytes, or the file cannot be read or made.
    """
    if configured is not None:
        return _long_enough(configured.encode(), "auth.pepper")
    path = data_dir / "pepper"
    try:
        return _long_enough(secret_in(path), str(path))
    except OSError as error:
        raise ConfigError(f"auth.pepper: {path}: {error.strerror}") from None


def _long_enough(pepper: bytes, where: str) -> bytes:
    if len(pepper) < MIN_BYTES:
        raise ConfigError(
            f"auth.pepper: {where} has {len(pepper)} bytes; at least {MIN_BYTES} are needed",
        )
    return pepper
