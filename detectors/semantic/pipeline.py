"""The long way of `semantic`: data → vectors → heads → report → card."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from detectors import artefacts, card, cost
from detectors.api import Part, Sample
from detectors.data import (
    LICENCES,
    Licence,
    Row,
    cap_sources,
    dev_rows,
    read_licences,
    training_rows,
)
from detectors.estimates import Options
from detectors.evaluation import Report, evaluate
from detectors.semantic import encoder
from detectors.semantic.detector import NAME, SCORING, Head, Reader, Semantic
from detectors.semantic.training import Plan, Trained, best_of, chosen, train
from detectors.validation import Quality

Say = Callable[[str], None]
DEV_ROWS = 400
"""So many rows of each source of `dev` are reported on: a text takes milliseconds."""
OPTIONS = Options(battery_rows=0)
ROUNDS = 5


def train_and_describe(data: Path, output: Path, say: Say) -> str:
    """Train on `train_pool`, report on `dev`, write heads and card; return the version.

    Takes half an hour of one core, nearly all of it reading texts.
    """
    rows = training_rows(data)
    dev = cap_sources(dev_rows(data), DEV_ROWS)
    plan, reader = Plan(), encoder.load()
    trained = train(rows, reader, plan, say)
    detector = save({part: it.head for part, it in trained.items()}, reader, output)
    reports = evaluate(detector, dev, say, options=OPTIONS)
    text = render(detector, trained, reports, sources(rows, read_licences(data / LICENCES), plan))
    (output / card.CARD).write_text(text, encoding="utf-8")
    return detector.version


def save(heads: Mapping[Part, Head], reader: Reader, output: Path) -> Semantic:
    """Write the heads, and return the detector that has them."""
    content = {str(part): head.content() for part, head in heads.items()}
    version = artefacts.save(output, NAME, content).version
    return Semantic(reader, heads, f"{version}.{SCORING}")


_INTRODUCTION = f"""\
# Detector `semantic`

Linear heads on the states of a small language model: the lower {encoder.LAYER} of the 30 layers of
SmolLM2-135M-Instruct (Apache-2.0), which is installed beside Watchgate, read a text as a turn of a
conversation. [How it works](../../../docs/semantic.md).

## What it is for
The second look: at what `lexical` leaves in doubt, in the screener, behind a band and a budget. The
mean of both is better than either.

## What it cannot do
- It is 135 million parameters small and reads English best. It reads base64, hexadecimal digits,
  rot13 and letters one by one; other ciphers pass.
- Of long texts it reads windows of 192 tokens, the worst of which counts: up to some 45,000
  characters all of them, beyond that a sample.
- The probability is calibrated (Platt) on sources that the heads had not seen, for a mixture of
  half benign and half misuse. Real traffic has far less misuse: take thresholds from benign
  traffic of your own.
- Biology cannot be measured with public rows, and has no head: no claim is made on it.
- Scores differ in their last digits between kinds of processors.
"""


def render(
    detector: Semantic,
    trained: Mapping[Part, Trained],
    reports: Mapping[Part, Report],
    learnt_from: Sequence[str],
) -> str:
    """Return the card."""
    return "\n".join(
        [
            _INTRODUCTION,
            f"Model version `{detector.version}`.\n",
            *_cost(detector),
            *_selection(trained),
            *card.quality(reports),
            "## Sources and licences\n",
            *learnt_from,
            "",
        ]
    )


def sources(rows: Sequence[Row], licences: Mapping[str, Licence], plan: Plan) -> list[str]:
    """Return what the heads learnt from, a line an item."""
    prompts, answers = chosen(rows, plan)
    count = Counter((it.source, it.label) for it in (*prompts, *answers))
    lines = [
        f"At most {plan.prompts_per_source:,} prompts or {plan.answers_per_source:,} answers of",
        "each source are used, chosen by a hash of their ids.\n",
        "| source | rows | of them misuse | licence |",
        "|---|---|---|---|",
    ]
    for name in sorted({source for source, _ in count}):
        total = count[name, 0] + count[name, 1]
        lines.append(f"| {name} | {total} | {count[name, 1]} | {licences[name].name} |")
    return lines


def _cost(detector: Semantic) -> list[str]:
    lines = ["## Cost\n", "Milliseconds of one core, the least of some rounds, English:\n"]
    lines += ["| text | milliseconds |", "|---|---|"]
    for chars in (60, 200, 500, 1_500):
        text = cost.text_of(chars)
        samples = [Sample(text, Part.PROMPT)]
        lines.append(f"| prompt, {chars:,} characters | {_least_ms(detector, samples):.1f} |")
    both = [Sample(cost.text_of(1_500), Part.EXCHANGE, cost.text_of(500))]
    lines.append(f"| exchange, 500 + 1,500 characters | {_least_ms(detector, both):.1f} |")
    return [*lines, f"\nMachine: {cost.machine()}.\n"]


def _least_ms(detector: Semantic, samples: Sequence[Sample]) -> float:
    taken = []
    for _ in range(ROUNDS):
        started = time.thread_time()
        detector.score(samples)
        taken.append(time.thread_time() - started)
    return min(taken) * 1e3


def _selection(trained: Mapping[Part, Trained]) -> list[str]:
    lines = [
        "## How it was selected\n",
        "Probes are fitted to the mean state and to the last one, each with the ridge that was",
        "best where whole families of sources were left out; for answers by a source's misuse",
        "against its own benign rows. The sum of their log-odds is calibrated the same way. A",
        "category has a head where it ranked rows of unseen families with an AUROC of 0.75 or",
        "more.\n",
        "| part | category | AUROC | recall at 1% | recall at 0.1% | |",
        "|---|---|---|---|---|---|",
    ]
    for part, it in trained.items():
        lines += [_line(part, name, best_of(found), "") for name, found in it.quality.items()]
        lines += [_line(part, name, found, "left out") for name, found in it.too_weak.items()]
    return [*lines, ""]


def _line(part: Part, category: str, found: Quality, words: str) -> str:
    return (
        f"| {part} | {category} | {found.auroc:.3f} | {found.recall_at_1pct:.3f} | "
        f"{found.recall_at_01pct:.3f} | {words} |"
    )
