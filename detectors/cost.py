"""What scoring costs: measured, never estimated."""

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from detectors.api import Detector, InlineDetector, Part, Sample

TEXT_CHARS = 500
ANSWER_CHARS = 1_500
BATCH = 64

_SENTENCES = (
    "Please compare three ways to keep vegetables fresh, and say what each of them costs. "
    "Then write a short letter to a friend who has just moved to another town, with two jokes. "
    "Which functions of the standard library help to sort a list of names by their length? "
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor microseconds for one English text of 500 characters, alone and in a batch of 64.

    `engine` is empty where a detector names none. `thousand_exchanges_s` are processor seconds for
    1,000 exchanges, each of a prompt of 500 characters and an answer of 1,500, in batches of 64,
    for the parts that the detector scores.
    """

    engine: str
    single_us: float
    batched_us: float
    machine: str
    thousand_exchanges_s: float


def measure(detector: Detector) -> Cost:
    """Take processor time of one core, the best of some rounds: other work only ever adds."""
    part = next(part for part in Part if part in detector.parts)
    samples = [_sample(part, number) for number in range(BATCH)]
    with threadpool_limits(1):
        single = _best_us(_one_by_one(detector, samples)) / BATCH
        batched = _best_us(lambda: detector.score(samples)) / BATCH
        exchange = sum(_exchange_us(detector, part) for part in detector.parts)
    engine = detector.engine if isinstance(detector, InlineDetector) else ""
    return Cost(engine, single, batched, machine(), exchange * 1_000 / 1e6)


def _one_by_one(detector: Detector, samples: Sequence[Sample]) -> Callable[[], object]:
    if isinstance(detector, InlineDetector):
        texts = [(sample.text, sample.part) for sample in samples]
        return lambda: [detector.score_text(*it) for it in texts]
    alone = [[sample] for sample in samples]
    return lambda: [detector.score(it) for it in alone]


def _exchange_us(detector: Detector, part: Part) -> float:
    samples = [_sample(part, number, exchange=True) for number in range(BATCH)]
    return _best_us(lambda: detector.score(samples)) / BATCH


def _sample(part: Part, number: int, *, exchange: bool = False) -> Sample:
    """Return a sample of 500 characters, or as long as this part of an exchange is."""
    answers = exchange and part is not Part.PROMPT
    text = _text(number, ANSWER_CHARS if answers else TEXT_CHARS)
    return Sample(text, part, _text(number, TEXT_CHARS) if part is Part.EXCHANGE else "")


def _text(number: int, chars: int) -> str:
    return f"{number} {text_of(chars)}"[:chars]


def text_of(chars: int) -> str:
    """Return so many characters of English."""
    return (_SENTENCES * (chars // len(_SENTENCES) + 1))[:chars]


def machine() -> str:
    """Return the processor and the Python that figures were measured with."""
    return f"{_processor()}, Python {platform.python_version()}"


def _best_us(work: Callable[[], object], rounds: int = 15, enough_s: float = 3.0) -> float:
    """Return the least of `rounds`, or of fewer where they take long: three at least."""
    taken: list[float] = []
    while len(taken) < 3 or (len(taken) < rounds and sum(taken) < enough_s):  # noqa: PLR2004
        taken.append(_seconds(work))
    return min(taken) * 1e6


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
