"""The key of the audit log's chain: who has it can append, and check what was appended."""

from pathlib import Path
from typing import Final

from service.errors import ConfigError
from service.store.secret_file import secret_in

MIN_BYTES: Final = 16


def load_audit_key(data_dir: Path, configured: str | None) -> bytes:
    """Return the configured key, or that of `data_dir/audit-key`, a file made on first use.

    Raises:
        ConfigError: it is shorter than 16 bytes, or the file cannot be read or made.
    """
    if configured is not None:
        return _long_enough(configured.encode(), "the setting")
    path = data_dir / "audit-key"
    try:
        return _long_enough(secret_in(path), str(path))
    except OSError as error:
        raise ConfigError(f"audit.key: {path}: {error.strerror}") from None


def _long_enough(key: bytes, where: str) -> bytes:
    if len(key) < MIN_BYTES:
        raise ConfigError(
            f"audit.key: {where} has {len(key)} bytes; at least {MIN_BYTES} are needed",
        )
    return key
