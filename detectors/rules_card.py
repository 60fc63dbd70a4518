"""The card of the shipped rules, measured: `python -m detectors.rules_card --data DIR`.

Rows of `dev` are for this report alone; rules and thresholds were chosen without them.
"""

import argparse
import platform
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from detectors import rules
from detectors.api import Part, Sample
from detectors.data import DEFAULT_FOLDER, Row, dev_rows, training_rows
from detectors.features import normalise
from detectors.rules.detector import Rules
from detectors.rules.fuzzy import Signatures, sketch_of
from detectors.rules_signatures import is_signed, of_others, signatures_of

CARD = "card.md"
TEXT_CHARS = 500
_EDITS = (0.0, 0.05, 0.1, 0.2, 0.3)
_EDITED_ROWS = 300
_LONG_ENOUGH = 60  # words
_PADDING_CHARS = 40_000
_ROUNDS = 5

_HEAD = """# Detector `rules`

A set of rules that people can read: patterns, secrets in checked formats, readable text that was
encoded, and published jailbreak texts by hashes of their word runs. Each rule has a probability
that its author stated by judgement; a category's score is the highest of the rules that match.

## What it is for
Certainty and words for it: a rule that matches says what it found and where. It finds what is
known and little else, so its silence says nothing.

## What it cannot do
- Most misuse is asked for in plain words, which no rule looks for: see the tables.
- Patterns are English. Jailbreak texts are found in the languages that they were published in,
  English nearly always, and not in scripts without spaces.
- Whoever reads the rules can write around them.
- Probabilities are judgements of what a match means, not fits; take thresholds from your traffic.
"""

_HOW_TIMED = (
    f"Microseconds of one core for a benign text of {TEXT_CHARS} characters, least of {_ROUNDS} "
    f"rounds on a shared machine, Python {platform.python_version()}:\n"
)


@dataclass(slots=True)
class Tally:
    """Rows of one source and part: how many, how many any rule matched, and which rules did."""

    rows: int = 0
    matched: int = 0
    by_rule: Counter[str] = field(default_factory=Counter)


Key = tuple[int, str, str]
"""Label, source, part."""


def tallies(detector: Rules, rows: Sequence[Row]) -> Mapping[Key, Tally]:
    """Count matches by label, source and part."""
    found: dict[Key, Tally] = {}
    for row in rows:
        for part in row.parts:
            it = found.setdefault((row.label, row.source, str(part)), Tally())
            names = [rule.id for rule in detector.matching(row.sample_of(part))]
            it.rows += 1
            it.matched += bool(names)
            it.by_rule.update(names)
    return found


def _table(found: Mapping[Key, Tally], label: int) -> Iterator[str]:
    yield "| source | part | rows | matched | rules |"
    yield "|---|---|---|---|---|"
    silent = []
    chosen = {key[1:]: it for key, it in sorted(found.items()) if key[0] == label}
    for (source, part), it in chosen.items():
        if not it.matched:
            silent.append(f"{source} ({part}, {it.rows})")
            continue
        names = ", ".join(f"{name} {count}" for name, count in it.by_rule.most_common())
        share = f"{it.matched} ({it.matched / it.rows:.2%})"
        yield f"| {source} | {part} | {it.rows} | {share} | {names} |"
    yield ""
    if silent:
        yield f"Nothing matched in: {', '.join(silent)}.\n"


def edited(text: str, share: float, chosen: random.Random) -> str:
    """Drop or replace a share of the words of a text, half of them each."""
    words = []
    for word in text.split(" "):
        draw = chosen.random()
        if draw >= share / 2:
            words.append(word if draw >= share else "changed")
    return " ".join(words)


def _variants(rows: Sequence[Row], least: float) -> Iterator[str]:
    """Measure the signatures: the shipped way on edits, and of a half of the rows on the other."""
    signed, others = [row for row in rows if is_signed(row)], of_others(rows)
    every = Signatures(list(signatures_of(signed, others)), {})
    kept = [row for row in signed if _is_in_half(row)]
    half = Signatures(list(signatures_of(kept, others)), {})
    chosen = random.Random(0)  # noqa: S311 - the same in every run
    long = [row.text for row in signed if len(row.text.split()) >= _LONG_ENOUGH]
    sample = chosen.sample(long, min(_EDITED_ROWS, len(long)))
    benign = " ".join(row.text for row in rows[:5_000] if row.label == 0)[:_PADDING_CHARS]
    yield "| texts | found |"
    yield "|---|---|"
    for share in _EDITS:
        found = _share(every, [edited(text, share, chosen) for text in sample], least)
        yield f"| signed, {share:.0%} of the words dropped or replaced | {found} |"
    found = _share(every, [f"{benign} {text}" for text in sample], least)
    yield f"| signed, after {_PADDING_CHARS:,} benign characters | {found} |"
    for source in sorted({row.source for row in signed}):
        texts = [row.text for row in signed if row.source == source and not _is_in_half(row)]
        found = _share(half, texts, least)
        yield f"| {source}, not signed: by signatures of the other half | {found} |"
    yield ""


def _is_in_half(row: Row) -> bool:
    return sha256(row.id.encode()).digest()[0] % 2 == 0


def _share(signatures: Signatures, texts: Sequence[str], least: float) -> str:
    sketches = (sketch_of(normalise(text).encode(errors="replace")) for text in texts)
    found = sum(signatures.highest(it) >= least for it in sketches)
    return f"{found} of {len(texts)} ({found / max(1, len(texts)):.1%})"


def _cost(detector: Rules, rows: Sequence[Row]) -> Iterator[str]:
    """Time texts of 500 characters, put together from benign rows; no text comes twice."""
    benign = " ".join(row.text for row in rows if row.label == 0 and row.text.isascii())
    texts = [benign[at : at + TEXT_CHARS] for at in range(0, 1_000 * TEXT_CHARS, TEXT_CHARS)]
    yield "| part | alone | in a batch |"
    yield "|---|---|---|"
    for part in Part:
        samples = [Sample(text, part) for text in texts]
        alone = _best_us(lambda: [detector.score([it]) for it in samples]) / len(samples)  # noqa: B023
        batch = _best_us(lambda: detector.score(samples)) / len(samples)  # noqa: B023
        yield f"| {part} | {alone:.0f} | {batch:.0f} |"
    yield ""


def _best_us(work: Callable[[], object]) -> float:
    def seconds() -> float:
        started = time.process_time()
        work()
        return time.process_time() - started

    return min(seconds() for _ in range(_ROUNDS)) * 1e6


def render(data: Path) -> str:
    """Measure everything and return the card; takes about half a minute of one core."""
    detector = rules.load()
    pool, dev = training_rows(data), dev_rows(data)
    least = min(it.fuzzy.least for it in detector.rules if it.fuzzy)
    on_dev, on_pool = tallies(detector, dev), tallies(detector, pool)
    lines = [
        _HEAD,
        f"Version `{detector.version}`, {len(detector.rules)} rules.\n",
        "## Cost\n",
        _HOW_TIMED,
        *_cost(detector, pool),
        "## Benign rows that a rule matches\n",
        "Development rows, which decided nothing:\n",
        *_table(on_dev, 0),
        "Rows that rules and thresholds were chosen by (benign answers may speak in a mode too):\n",
        *_table(on_pool, 0),
        "## Misuse rows that a rule matches\n",
        "Development rows:\n",
        *_table(on_dev, 1),
        "Rows that rules were chosen by; four of these sources are the signed ones:\n",
        *_table(on_pool, 1),
        f"## Published jailbreaks and their variants, at {least}\n",
        *_variants(pool, least),
    ]
    return "\n".join(lines).rstrip() + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the card."""
    parser = argparse.ArgumentParser("python -m detectors.rules_card", description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT_FOLDER, help="folder of rows")
    parser.add_argument("--output", type=Path, default=rules.SHIPPED / CARD, help="file to write")
    args = parser.parse_args(arguments)
    args.output.write_text(render(args.data), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
