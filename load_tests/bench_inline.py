"""What inline scoring costs an event loop: CPU-microseconds a call, in C and in plain Python.

    python -m load_tests.bench_inline --rounds 15

Each case is a text scored at once, or an answer of 6,000 characters that grows by pieces of about
a token: the figure is that of one piece, slices that open and close included. Rounds of all cases
and engines are interleaved; CPU time is that of this process, which has one thread.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from detectors.api import InlineDetector, Part
from detectors.lexical import load_with
from detectors.native import load_library

ANSWER_CHARS: Final = 6_000
TARGET_S: Final = 0.01
"""About how long one reading lasts: far over what the clock can tell apart."""

ENGLISH: Final = (
    "Please compare three ways to keep vegetables fresh, and say what each of them costs. Then "
    "write a short letter to a friend who has just moved to another town, with two jokes. "
)
FRENCH: Final = "Où est la gare la plus proche, s'il vous plaît? Je cherche un café très calme. "
CHINESE: Final = "请比较三种保持蔬菜新鲜的方法，并说明每种方法的费用。然后写一封短信。"  # noqa: RUF001

Work = Callable[[], int]
"""Does something, and returns how many calls that were."""


def of_length(unit: str, chars: int) -> str:
    """Repeat `unit`, each time with another number, up to a length."""
    count = chars // len(unit) + 1
    return "".join(f"{number} {unit}" for number in range(count))[:chars]


def in_pieces(text: str, chars: int) -> list[str]:
    """Cut a text."""
    return [text[start : start + chars] for start in range(0, len(text), chars)]


def as_tokens(text: str) -> list[str]:
    """Cut before each space and after each eight characters, as tokens of English are, about."""
    words = text.replace(" ", "\n ").split("\n")
    return [piece for word in words for piece in in_pieces(word, 8)]


def cases(detector: InlineDetector) -> Mapping[str, Work]:
    """Return what is measured, by name."""

    def at_once(text: str) -> Work:
        def work() -> int:
            detector.score_text(text, Part.ANSWER)
            return 1

        return work

    def growing(pieces: Sequence[str]) -> Work:
        def work() -> int:
            add = detector.growing(Part.ANSWER).add
            for piece in pieces:
                add(piece)
            return len(pieces)

        return work

    return {
        "text, English, 500 characters": at_once(of_length(ENGLISH, 500)),
        "text, French, 500 characters": at_once(of_length(FRENCH, 500)),
        "text, Chinese, 500 characters": at_once(of_length(CHINESE, 500)),
        "text, English, 50,000 characters": at_once(of_length(ENGLISH, 50_000)),
        "piece, English, tokens": growing(as_tokens(of_length(ENGLISH, ANSWER_CHARS))),
        "piece, French, tokens": growing(as_tokens(of_length(FRENCH, ANSWER_CHARS))),
        "piece, Chinese, 2 characters": growing(in_pieces(of_length(CHINESE, ANSWER_CHARS), 2)),
        "piece, one ASCII word, 4 characters": growing(in_pieces("x" * ANSWER_CHARS, 4)),
        "piece, one Cyrillic word, 4 characters": growing(in_pieces("ж" * ANSWER_CHARS, 4)),
        "piece, nothing but marks, 4 characters": growing(
            in_pieces("\u0301\u0323" * (ANSWER_CHARS // 2), 4)
        ),
        "a growing text is made": growing([""]),
    }


def reading_us(work: Work) -> float:
    """Return the CPU-microseconds of one call, from as many as `TARGET_S` takes."""
    calls, start = 0, time.process_time()
    while (spent := time.process_time() - start) < TARGET_S:
        calls += work()
    return spent / calls * 1e6


def measure(engines: Mapping[str, InlineDetector], rounds: int) -> Mapping[str, dict[str, float]]:
    """Return the least and the median reading of each case, by engine."""
    work = {(case, engine): it for engine, d in engines.items() for case, it in cases(d).items()}
    readings: dict[tuple[str, str], list[float]] = {key: [] for key in work}
    for _ in range(rounds):
        for key, it in work.items():
            readings[key].append(reading_us(it))
    found: dict[str, dict[str, float]] = {}
    for (case, engine), values in readings.items():
        row = {f"{engine}_min_us": min(values), f"{engine}_median_us": statistics.median(values)}
        found.setdefault(case, {}).update({name: round(value, 2) for name, value in row.items()})
    return found


def main() -> int:
    """Measure and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=15)
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
    print(f"{'least (median) CPU-µs':42} {'native':>18} {'plain Python':>20} {'ratio':>6}")
    for case, row in found.items():
        native, plain = row["native_min_us"], row["python_min_us"]
        print(
            f"{case:42} {native:8.2f} ({row['native_median_us']:7.2f})"
            f" {plain:9.2f} ({row['python_median_us']:8.2f}) {plain / native:6.1f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
