"""Secrets in files: made on first use, for the owner alone, whole or not at all."""

import os
import secrets
from pathlib import Path

_MADE_BYTES = 32


def secret_in(path: Path) -> bytes:
    """Return the secret in a file, made if there is none: 64 hexadecimal digits.

    Any number of processes may do so at the same time: all get the same one.

    Raises:
        OSError: the file cannot be read or made.
    """
    if not path.exists():
        _make(path)
    return path.read_bytes().strip()


def _make(path: Path) -> None:
    """Write a new secret whole, under another name, then link it unless somebody was faster."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
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
