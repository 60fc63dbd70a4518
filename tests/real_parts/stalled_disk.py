"""A disk that answers nothing for a while, under processes that are started with it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

_SOURCE: Final = Path(__file__).with_suffix(".c")


class StalledDisk:
    """Holds up whoever writes to a folder's files, while told to."""

    def __init__(self, built_in: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Be under every process that is started from now on; takes gcc."""
        library = built_in / "stalled_disk.so"
        flags = ["-O2", "-Wall", "-shared", "-fPIC"]
        subprocess.run(["gcc", *flags, "-o", library, _SOURCE, "-ldl"], check=True, timeout=120)
        self._flag = built_in / "stalled"
        monkeypatch.setenv("LD_PRELOAD", str(library))
        monkeypatch.setenv("STALLED_FOLDER", str(folder))
        monkeypatch.setenv("STALLED_WHILE", str(self._flag))

    @contextmanager
    def stalled(self) -> Iterator[None]:
        self._flag.touch()
        try:
            yield
        finally:
            self._flag.unlink()
