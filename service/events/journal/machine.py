"""Which machine's journals these are: names of journals are the same on every machine.

What is told by name and place in a journal (an origin, in Kafka) is told with this, so that two
machines' journals are never taken for one.
"""

import contextlib
import os
import re
import secrets
from pathlib import Path
from typing import Final

from service.errors import ConfigError

FILE: Final = "machine"
_BYTES: Final = 8
_NAME: Final = re.compile("[0-9a-f]{16}")


def machine_of(root: Path) -> str:
    """Return what the journals under `root` are known by: 16 hexadecimal digits, made up once.

    Raises:
        ConfigError: it can be neither read nor written, or is something else.
    """
    file = root / FILE
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not file.exists():
            _write_once(file, secrets.token_hex(_BYTES))
        name = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}, by which Kafka knows this machine: {error}") from None
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{file} holds no 16 hexadecimal digits: remove it, and it is made anew")
    return name


def _write_once(file: Path, name: str) -> None:
    """Put the file in place whole, and durably; another process's stays if it came first."""
    draft = file.with_name(f"{file.name}.{name}")
    try:
        with draft.open("w", encoding="ascii") as writing:
            writing.write(f"{name}\n")
            writing.flush()
            os.fsync(writing.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, file)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
