"""The peppers of `data_dir`: `pepper`, the newest, and `pepper.previous`, a line each.

Which of them is in use the store says (`pepper.py`): the files only have to hold it, so they may
change in any order that never leaves one out.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from service.errors import ConfigError
from service.store.secret_file import locked, new_secret, replace_whole, secret_in, sync_folder

NEWEST: Final = "pepper"
PREVIOUS: Final = "pepper.previous"


def peppers_in(data_dir: Path) -> tuple[bytes, ...]:
    """Return the peppers of the files, the newest first; `pepper` is made if there is none.

    `pepper` is read first: `keep_peppers` puts what it held into `pepper.previous` beforehand.

    Raises:
        OSError: a file cannot be read or made.
    """
    newest = secret_in(data_dir / NEWEST)
    return tuple(dict.fromkeys([newest, *_lines(data_dir / PREVIOUS)]))


def add_pepper(data_dir: Path, in_use: bytes) -> bytes:
    """Make a new pepper the newest, unless a newer one than that in use is there; return which.

    Raises:
        ConfigError: a pepper has a line break in it.
        OSError: a file cannot be read or written.
    """
    with locked(data_dir):
        held = peppers_in(data_dir)
        if held[0] != in_use:
            return held[0]
        _keep(data_dir, held, [made := new_secret(), *held])
        return made


def drop_pepper(data_dir: Path, dropped: bytes) -> bool:
    """Forget a pepper; of those that stay the newest is the next. False: it is in no file.

    Raises:
        OSError: a file cannot be read or written.
    """
    with locked(data_dir):
        held = peppers_in(data_dir)
        stay = [pepper for pepper in held if pepper != dropped]
        if not stay or len(stay) == len(held):
            return False
        _keep(data_dir, held, stay)
        return True


def _keep(data_dir: Path, held: Sequence[bytes], wanted: Sequence[bytes]) -> None:
    """Go from some peppers to others, so that at any time those in both can be read."""
    for pepper in wanted:
        if len(pepper.splitlines()) != 1:
            raise ConfigError(f"auth.pepper: {data_dir / NEWEST} must be one line to be rotated")
    if wanted[0] != held[0]:
        _put_previous(data_dir, held)
        replace_whole(data_dir / NEWEST, wanted[0] + b"\n")
    _put_previous(data_dir, wanted[1:])


def _put_previous(data_dir: Path, peppers: Sequence[bytes]) -> None:
    path = data_dir / PREVIOUS
    if tuple(peppers) == _lines(path):
        return
    if peppers:
        replace_whole(path, b"".join(pepper + b"\n" for pepper in peppers))
    else:
        path.unlink()
        sync_folder(data_dir)


def _lines(path: Path) -> tuple[bytes, ...]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return ()
    return tuple(line.strip() for line in lines if line.strip())
