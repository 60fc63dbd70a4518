"""Which machine's journals these are: names of journals are the same on every machine.

What is told by name and place in a journal (an origin, in Kafka) is told with this, so that two
machines' journals are never taken for one.
"""

import os
import secrets
from pathlib import Path
from typing import Final

FILE: Final = "machine"
_BYTES: Final = 8


def machine_of(root: Path) -> str:
    """Return what the journals under `root` are known by: 16 hexadecimal digits, made up once.

    Raises:
        OSError: it can be neither read nor written.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = root / FILE
    if not file.exists():
        _write_once(file, secrets.token_hex(_BYTES))
    return file.read_text(encoding="ascii").strip()


def _write_once(file: Path, name: str) -> None:
    """Put the file in place whole, and durably; another process's stays if it came first."""
    draft = file.with_name(f"{file.name}.{name}")
    with draft.open("w", encoding="ascii") as writing:
        writing.write(f"{name}\n")
        writing.flush()
        os.fsync(writing.fileno())
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
