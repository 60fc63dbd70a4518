"""What scoring costs: measured, never estimated."""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from detectors.api import InlineDetector, Part, Sample

TEXT_CHARS = 500
BATCH = 64

_SENTENCES = (
    "Please compare three ways to keep vegetables fresh, and say what each of them costs. "
    "Then write a short letter to a friend who has just moved to another town, with two jokes. "
    "Which functions of the standard library help to sort a list of names by their length? "
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor microseconds for one English text of 500 characters, alone and in a batch of 64."""

    engine: str
    single_us: float
    batched_us: float
    machine: str


def measure(detector: InlineDetector) -> Cost:
    """Take processor time, the best of 15 rounds: other work on the machine only ever adds."""
    samples = [Sample(_text(number), Part.PROMPT) for number in range(BATCH)]
    one_by_one = [(sample.text, sample.part) for sample in samples]
    single = _best_us(lambda: [detector.score_text(*it) for it in one_by_one]) / BATCH
    batched = _best_us(lambda: detector.score(samples)) / BATCH
    return Cost(
        detector.engine, single, batched, f"{_processor()}, Python {platform.python_version()}"
    )


def _text(number: int) -> str:
    return f"{number} {_SENTENCES * 3}"[:TEXT_CHARS]


def _best_us(work: Callable[[], object], rounds: int = 15) -> float:
    return min(_seconds(work) for _ in range(rounds)) * 1e6


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _processor() -> str:
    """Return the processor's name, from Linux' list where there is one."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
