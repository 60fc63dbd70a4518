"""How many exchanges a second a screener scores, from the journal to verdicts in a journal.

    python -m load_tests.bench_screener --exchanges 20000 --dear semantic --parts prompt

Exchanges are written first: prompts and answers of English words, none twice. Then one screener
reads them all, as `watchgate screener` does, and its verdicts are synced before it goes on. The
dear detector, if one is named, is asked about so large a share of these parts. Told are exchanges a
second of wall-clock time, CPU-microseconds an exchange (of all threads), and what each stage did.
"""

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec

from detectors import semantic
from detectors.api import Detector, Part
from detectors.budgets import Budget
from detectors.cascade import Cascade, Combine, Stage, StageUse
from detectors.registry import FACTORIES
from load_tests.processes import CACHE
from load_tests.words_of import COMMON_SHARE, words
from service.core.surfaces.answers import Answer, Choice
from service.events.journal import Journal, JournalReader, Limits
from service.events.log import Record, Topic
from service.events.schema import Closed, Opened, to_record
from service.wiring.parts import SCREENER, make_metrics
from service.wiring.worker import LoopWatcher
from service.workers.loop import Loop
from service.workers.screener import Screener

_LIMITS: Final = Limits(reserve_bytes=1 << 20)
_AT_ONCE: Final = 256
_FIRST: Final = "lexical"
_FINDERS: Final = ("rules",)
"""Cheap detectors that find certain things; where they are registered they see everything."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure once and print what was found."""
    options = _options(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        _write(folder / "journal" / "gateway-0", options)
        found = _measure(folder / "journal", options)
    finally:
        shutil.rmtree(folder)
    print(json.dumps(found) if options.json else _told(found))
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--exchanges", type=int, default=20_000)
    parser.add_argument("--chars", type=int, default=500, help="of each prompt and each answer")
    parser.add_argument(
        "--common-words", type=float, default=COMMON_SHARE, help="their share; others are made up"
    )
    parser.add_argument("--dear", choices=sorted(FACTORIES), help="the detector of the last stage")
    parser.add_argument("--share", type=float, default=0.05, help="of the texts that it is asked")
    parser.add_argument(
        "--layers", type=int, default=semantic.DEEP, help="of semantic, if that is the dear one"
    )
    parser.add_argument(
        "--parts", type=Part, nargs="+", default=[Part.PROMPT], help="that the dear one is asked"
    )
    parser.add_argument("--batch-records", type=int, default=64)
    parser.add_argument("--folder", type=Path, default=CACHE, help="on a disk")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def _write(folder: Path, options: argparse.Namespace) -> None:
    journal, records = Journal(folder, limits=_LIMITS), _records(options)
    while batch := list(islice(records, _AT_ONCE)):
        journal.append_all(batch)
    journal.close()


def _records(options: argparse.Namespace) -> Iterator[Record]:
    chance = Random(1)  # noqa: S311 - the same texts in every run

    def text() -> str:
        many = words(chance, options.chars // 3 + 8, options.common_words)
        return many[: options.chars]

    for number in range(options.exchanges):
        who: dict[str, Any] = {
            "exchange_id": f"ex-{number:024x}",
            "account": f"project-{number % 7}",
            "project": f"project-{number % 7}",
            "key": "key_bench",
            "model": "bench",
            "surface": "chat",
            "tier": 1,
        }
        messages = [{"role": "user", "content": text()}]
        prompt = msgspec.json.encode({"model": "bench", "messages": messages})
        answer = msgspec.json.encode(Answer([Choice(0, text())]))
        opened = Opened(**who, at=float(number), upstream="mock", stream=False)
        closed = Closed(
            **who,
            at=float(number) + 0.5,
            opened_at=float(number),
            outcome="completed",
            served_number=number + 1,
            boot="0" * 16,
        )
        yield to_record(opened, prompt)
        yield to_record(closed, answer)


def _measure(root: Path, options: argparse.Namespace) -> dict[str, Any]:
    uses: list[StageUse] = []
    suite = _suite(options, uses)
    stop, records = threading.Event(), 2 * options.exchanges
    journal = Journal(root / "screener-0", limits=_LIMITS)
    reader = JournalReader(root, SCREENER, [Topic.EXCHANGES], batch_records=options.batch_records)
    _, metrics = make_metrics(SCREENER)
    left = [records]

    def tick(done: Sequence[object]) -> None:
        left[0] -= len(done)
        if left[0] <= 0:
            stop.set()

    loop = Loop(
        group=SCREENER,
        reader=reader,
        handler=Screener([suite], tuple, journal, metrics, time.time),
        dead_letters=journal,
        watcher=LoopWatcher(SCREENER, [Topic.EXCHANGES], metrics, tick),
        clock=time.time,
    )
    started, cpu_before = time.perf_counter(), time.process_time()
    loop.run(stop)
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu_before
    reader.close()
    journal.close()
    return {
        "exchanges": options.exchanges,
        "exchanges_per_s": options.exchanges / seconds,
        "cpu_us_per_exchange": cpu_s / options.exchanges * 1e6,
        "stages": _stages(uses),
    }


def _dear(options: argparse.Namespace) -> Detector:
    if options.dear == semantic.NAME:
        return semantic.load(layers=options.layers)
    return FACTORIES[options.dear]()


def _suite(options: argparse.Namespace, uses: list[StageUse]) -> Cascade:
    stages = [Stage(FACTORIES[_FIRST]())]
    stages += [Stage(FACTORIES[it](), Combine.MAX) for it in _FINDERS if it in FACTORIES]
    if options.dear:
        budget = Budget(options.share, clock=time.monotonic, burst_texts=5.0)
        only = frozenset(options.parts)
        stages.append(Stage(_dear(options), budget=budget, only=only))
    return Cascade("suite", stages, uses.append)


def _stages(uses: Sequence[StageUse]) -> dict[str, dict[str, float]]:
    scored, seconds = Counter[str](), defaultdict[str, float](float)
    for use in uses:
        scored[use.stage] += use.scored
        seconds[use.stage] += use.seconds
    return {
        stage: {"texts": count, "us_per_text": seconds[stage] / max(1, count) * 1e6}
        for stage, count in scored.items()
    }


def _told(found: dict[str, Any]) -> str:
    rate, cost = found["exchanges_per_s"], found["cpu_us_per_exchange"]
    lines = [f"{found['exchanges']:,} exchanges: {rate:,.0f} a second, {cost:,.0f} CPU-µs each"]
    lines += [
        f"  {stage:12} {it['texts']:>10,} texts, {it['us_per_text']:>10,.1f} µs a text"
        for stage, it in found["stages"].items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
