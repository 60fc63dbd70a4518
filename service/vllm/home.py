"""Where vLLM's virtual environment and the small model live, and how set-up steps are run."""

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from service.errors import WatchgateError

Say = Callable[[str], None]
"""Takes one line of progress, for a person to read."""


class VllmError(WatchgateError):
    """vLLM is not installed, cannot be installed or did not start; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Home:
    """The files of a local vLLM, all under one root folder."""

    root: Path

    @property
    def venv(self) -> Path:
        """VLLM's own environment, apart from Watchgate's: neither constrains the other."""
        return self.root / ".venv-vllm"

    @property
    def python(self) -> Path:
        """The interpreter that runs vLLM."""
        return self.venv / "bin" / "python"

    @property
    def requirements(self) -> Path:
        """Every package of a vLLM on the CPU but torch, pinned and hashed."""
        return self.root / "requirements" / "vllm-cpu.txt"

    @property
    def torch_cpu(self) -> Path:
        """Torch's CPU build, which the default registry does not have; same form."""
        return self.root / "requirements" / "vllm-torch-cpu.txt"

    @property
    def torch_cuda(self) -> Path:
        """Torch's CUDA build and what it links to, which runs on the CPU too; same form."""
        return self.root / "requirements" / "vllm-torch-cuda.txt"

    @property
    def models(self) -> Path:
        """Prepared models, one folder each."""
        return self.root / ".cache" / "models"


def default_home() -> Home:
    """Return the home in the source tree this file belongs to, else in the current folder."""
    tree = Home(Path(__file__).resolve().parents[2])
    return tree if tree.requirements.exists() else Home(Path.cwd())


def say(line: str) -> None:
    """Write a line of progress to stderr."""
    sys.stderr.write(f"vllm: {line}\n")
    sys.stderr.flush()


def digest_of(*parts: Path | str) -> str:
    """Return the SHA-256 of the parts, files by content, each closed by its length."""
    total = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else part.encode()
        total.update(content + len(content).to_bytes(8, "big"))
    return total.hexdigest()


def is_stamped(stamp: Path, digest: str) -> bool:
    """Tell whether the work that leaves `stamp` was finished for this digest."""
    return stamp.exists() and stamp.read_text(encoding="utf-8").strip() == digest


@contextmanager
def only_one(lock_file: Path, say: Say) -> Iterator[None]:
    """Hold a lock, so that of two set-ups at once one does the work and the other waits."""
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    with lock_file.open("w") as lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            say(f"another set-up holds {lock_file}: waiting for it")
            flock(lock, LOCK_EX)
        yield
