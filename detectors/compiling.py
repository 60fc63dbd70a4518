"""Compiles `words.c` into a shared library beside it, where the machine has a C compiler.

The build of the package calls it (`hatch_build.py`), so it imports the standard library alone.
Python's headers are not needed. The library's name holds the digest of its source: one that was
made from another source is never loaded.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final
from zlib import crc32

SOURCE: Final = Path(__file__).with_name("words.c")
FLAGS: Final = ("-O2", "-Wall", "-Wextra", "-shared", "-fPIC")
_TIMEOUT_S: Final = 120


class CompilerError(Exception):
    """There is no C compiler, or it refused; the message says which."""


def library_name(source: Path = SOURCE) -> str:
    """Return the file name of the library made from `source`."""
    return f"words-{crc32(source.read_bytes()):08x}.so"


def compile_library(folder: Path, *flags: str) -> Path:
    """Compile into `folder`, in place of any older library there; return its path.

    Raises:
        CompilerError: there is no compiler, or it failed.
    """
    library = folder / library_name()
    unfinished = library.with_suffix(f".{os.getpid()}")
    _run([_compiler(), *FLAGS, *flags, "-o", str(unfinished), str(SOURCE), "-lm"])
    for old in folder.glob("words-*.so"):
        old.unlink()
    unfinished.replace(library)
    return library


def _compiler() -> str:
    """Return the program that `CC` names, or the usual one."""
    named = os.environ.get("CC")
    for name in (named,) if named else ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return found
    raise CompilerError(f"there is no C compiler ({named or 'cc, gcc, clang'})")


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)  # noqa: S603 - the compiler
    except subprocess.CalledProcessError as error:
        raise CompilerError(f"{command[0]} failed: {error.stderr.strip()}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CompilerError(f"{command[0]} failed: {error}") from error
