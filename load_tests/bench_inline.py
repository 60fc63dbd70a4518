"""What inline scoring costs an event loop: CPU-microseconds a call, in C and in plain Python.

    python -m load_tests.bench_inline --rounds 9

Each case is a text scored at once, or the next piece of an answer of 6,000 characters, long
stretches included. No text comes twice. A call is timed alone: warm, right after others like
it, and cold, after other work has pushed it out of the caches, as between requests of a gateway.
A reading is the median of many calls less what reading the clock takes. Rounds of all cases and
engines are interleaved; CPU time is that of this thread.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import count
from random import Random
from typing import Final

from detectors.api import InlineDetector, Part
from detectors.lexical import load_with
from detectors.native import load_library
from load_tests.words_of import words

ANSWER_CHARS: Final = 6_000
CALLS: Final = 101
"""So many make a reading."""
SKIPPED_PIECES: Final = 12
"""So many pieces are added between two that are timed: a reading sees all of an answer."""

FRENCH: Final = "Où est la gare la plus proche, s'il vous plaît? Je cherche un café très calme. "
CHINESE: Final = "请比较三种保持蔬菜新鲜的方法，并说明每种方法的费用。然后写一封短信。"  # noqa: RUF001
_OTHER_MEMORY: Final = b"x" * (4 << 20)

Call = Callable[[], object]
Case = Iterator[Call]
"""What is measured, each time with another text."""


def of_words(chance: Random, chars: int) -> str:
    """Write words of English, and others, up to a length."""
    return words(chance, chars // 3 + 8)[:chars]


def of_unit(unit: str, chars: int, start: int) -> str:
    """Repeat `unit`, each time with another number, up to a length."""
    return "".join(f"{start + n} {unit}" for n in range(chars // len(unit) + 1))[:chars]


def in_pieces(text: str, chars: int) -> list[str]:
    """Cut a text."""
    return [text[start : start + chars] for start in range(0, len(text), chars)]


def as_tokens(text: str) -> list[str]:
    """Cut before each space and after each eight characters, as tokens of English are, about."""
    spaced = text.replace(" ", "\n ").split("\n")
    return [piece for word in spaced for piece in in_pieces(word, 8)]


def cases(detector: InlineDetector) -> Mapping[str, Case]:
    """Return what is measured, by name."""
    chance, numbers = Random(1), count(0, 1_000)  # noqa: S311 - the same texts in every run

    def at_once(text: Callable[[], str]) -> Case:
        while True:
            yield partial(detector.score_text, text(), Part.PROMPT)

    def growing(pieces: Callable[[], list[str]]) -> Case:
        while True:
            add = detector.growing(Part.ANSWER).add
            for number, piece in enumerate(pieces()):
                if number % SKIPPED_PIECES:
                    add(piece)
                else:
                    yield partial(add, piece)

    def empty() -> Case:
        while True:
            yield partial(detector.growing, Part.ANSWER)

    def english(chars: int) -> Case:
        return at_once(lambda: of_words(chance, chars))

    return {
        "text, English, 60 characters": english(60),
        "text, English, 200 characters": english(200),
        "text, English, 500 characters": english(500),
        "text, English, 1,300 characters": english(1_300),
        "text, English, 8,000 characters": english(8_000),
        "text, English, 50,000 characters": english(50_000),
        "text, French, 500 characters": at_once(lambda: of_unit(FRENCH, 500, next(numbers))),
        "text, Chinese, 500 characters": at_once(lambda: of_unit(CHINESE, 500, next(numbers))),
        "piece, English, tokens": growing(lambda: as_tokens(of_words(chance, ANSWER_CHARS))),
        "piece, French, tokens": growing(
            lambda: as_tokens(of_unit(FRENCH, ANSWER_CHARS, next(numbers)))
        ),
        "piece, Chinese, 2 characters": growing(
            lambda: in_pieces(of_unit(CHINESE, ANSWER_CHARS, next(numbers)), 2)
        ),
        "piece, one ASCII word, 4 characters": growing(lambda: in_pieces("x" * ANSWER_CHARS, 4)),
        "piece, one Cyrillic word, 4 characters": growing(lambda: in_pieces("ж" * ANSWER_CHARS, 4)),
        "piece, nothing but marks, 4 characters": growing(
            lambda: in_pieces("\u0301\u0323" * (ANSWER_CHARS // 2), 4)
        ),
        "a growing text is made": empty(),
    }


def reading_us(case: Case, *, cold: bool) -> float:
    """Return the median CPU-microseconds of a call."""
    readings = []
    for call in (next(case) for _ in range(CALLS)):
        if cold:
            _OTHER_MEMORY.find(b"\0")
        start = time.thread_time_ns()
        call()
        readings.append(time.thread_time_ns() - start)
    return statistics.median(readings) / 1e3


def nothing() -> Case:
    """Give what is measured to know what measuring takes."""
    while True:
        yield partial(int)


def measure(engines: Mapping[str, InlineDetector], rounds: int) -> Mapping[str, dict[str, float]]:
    """Return the least reading of each case, by engine, warm and cold."""
    keys = {
        (case, f"{engine}_{'cold' if cold else 'warm'}_us"): (it, cold)
        for engine, detector in engines.items()
        for case, it in cases(detector).items()
        for cold in (False, True)
    }
    clock = {cold: reading_us(nothing(), cold=cold) for cold in (False, True)}
    least = dict.fromkeys(keys, float("inf"))
    for _ in range(rounds):
        for key, (it, cold) in keys.items():
            least[key] = min(least[key], reading_us(it, cold=cold) - clock[cold])
    found: dict[str, dict[str, float]] = {}
    for (case, column), value in least.items():
        found.setdefault(case, {})[column] = round(value, 2)
    return found


def main() -> int:
    """Measure and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    args = parser.parse_args()
    library = load_library()
    if library is None:
        print("no library is compiled: make setup needs a C compiler", file=sys.stderr)
        return 1
    found = measure({"native": load_with(library), "python": load_with(None)}, args.rounds)
    if args.json:
        print(json.dumps(found))
        return 0
    print(f"{'CPU-µs':42} {'native warm':>12} {'cold':>8} {'python warm':>12} {'cold':>8}")
    for case, row in found.items():
        warm, cold, plain_warm, plain_cold = row.values()
        print(f"{case:42} {warm:12.2f} {cold:8.2f} {plain_warm:12.2f} {plain_cold:8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
