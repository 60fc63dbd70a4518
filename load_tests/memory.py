"""Memory of a process and all its descendants, from Linux's /proc: the proportional set size.

Pages that several processes share are divided among them, so that a sum counts none twice.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from load_tests.cpu import tree_pids

_FIELD: Final = "Pss:"


def parse_rollup(text: str) -> int:
    """Reads bytes from `/proc/PID/smaps_rollup`; 0 where a process has no memory any more."""
    lines = (line.split() for line in text.splitlines())
    return sum(int(words[1]) * 1024 for words in lines if words and words[0] == _FIELD)


def tree_pss_bytes(root: int) -> int:
    """Bytes held now by the live process `root` and its descendants."""
    return pss_bytes(tree_pids(root))


def pss_bytes(pids: Iterable[int]) -> int:
    """Bytes held now by these processes, those that have ended left out."""
    return sum(_pss(pid) for pid in pids)


def _pss(pid: int) -> int:
    try:
        return parse_rollup(Path(f"/proc/{pid}/smaps_rollup").read_text())
    except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
        return 0
