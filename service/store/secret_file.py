"""Secrets in files: made on first use, for the owner alone, whole or not at all."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

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


def new_secret() -> bytes:
    """Make a secret as `secret_in` does: 64 hexadecimal digits."""
    return secrets.token_hex(_MADE_BYTES).encode()


def replace_whole(path: Path, data: bytes) -> None:
    """Put a file in the place of another: after a crash at any time it is the old or the new one.

    One process at a time, see `locked`: the draft has one name, so that a crash leaves one at most.

    Raises:
        OSError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    _write(descriptor, data)
    draft.replace(path)
    sync_folder(path.parent)


@contextmanager
def private_file(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write, which is there under its name only once it is whole and on the disk.

    Raises:
        OSError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, as one process at a time does."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make(path: Path) -> None:
    """Write a new secret whole, under another name, then link it unless somebody was faster."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        _write(descriptor, new_secret() + b"\n")
        _link_first(draft, path)
    finally:
        draft.unlink()


def _write(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _link_first(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    sync_folder(path.parent)
