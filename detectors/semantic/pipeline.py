"""The long way of `semantic`: data → vectors → heads → report → card."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from detectors import artefacts, card, cost, tables
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
from detectors.estimates import MEAN, WORST, Options
from detectors.evaluation import Report, evaluate
from detectors.semantic import DEEP, NAME, SHALLOW, encoder
from detectors.semantic.detector import Head, Semantic, load
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
    plan = Plan()
    trained = {layers: train(rows, encoder.load(layers), plan, say) for layers in (DEEP, SHALLOW)}
    save({layers: _heads(it) for layers, it in trained.items()}, output)
    deep, shallow = (load(output, layers=layers) for layers in (DEEP, SHALLOW))
    reports = [evaluate(it, dev, say, options=OPTIONS) for it in (deep, shallow)]
    learnt_from = sources(rows, read_licences(data / LICENCES), plan)
    text = render((deep, shallow), trained[DEEP], reports, learnt_from)
    (output / card.CARD).write_text(text, encoding="utf-8")
    return deep.version


def _heads(trained: Mapping[Part, Trained]) -> dict[Part, Head]:
    return {part: it.head for part, it in trained.items()}


def save(heads: Mapping[int, Mapping[Part, Head]], output: Path) -> None:
    """Write the heads of each depth."""
    content = {
        str(layers): {str(part): head.content() for part, head in of_depth.items()}
        for layers, of_depth in heads.items()
    }
    artefacts.save(output, NAME, content)


_INTRODUCTION = f"""\
# Detector `semantic`

Linear heads on the states of a small language model: the lower {DEEP}, or {SHALLOW}, of the 30
layers of SmolLM2-135M-Instruct (Apache-2.0), which is installed beside Watchgate, read a text as a
turn of a conversation. [How it works](../../../docs/semantic.md).

## What it is for
The second look: at what `lexical` leaves in doubt, in the screener, behind a band and a budget. The
mean of both is better than either.

## What it cannot do
- It is 135 million parameters small and reads English best. It reads base64, hexadecimal digits,
  rot13 and letters one by one; other ciphers pass.
- Of long texts it reads windows of 192 tokens, the worst of which counts: up to some 45,000
  characters all of them, beyond that a sample. Of a long prompt it reads paragraphs by themselves,
  too; what stands amid a paragraph of something else is hidden by it.
- The probability is calibrated (Platt) on sources that the heads had not seen, for a mixture of
  half benign and half misuse. Real traffic has far less misuse: take thresholds from benign
  traffic of your own.
- Biology cannot be measured with public rows, and has no head: no claim is made on it.
- Scores differ in their last digits between kinds of processors.
"""


def render(
    depths: Sequence[Semantic],
    trained: Mapping[Part, Trained],
    reports: Sequence[Mapping[Part, Report]],
    learnt_from: Sequence[str],
) -> str:
    """Return the card: that of the deep way, and of the shallow one what matters."""
    return "\n".join(
        [
            _INTRODUCTION,
            f"Model version `{depths[0].version}`; with fewer layers `{depths[1].version}`.\n",
            *_cost(depths),
            *_selection(trained),
            *_of_both(reports),
            *card.quality(reports[0]),
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


def _cost(depths: Sequence[Semantic]) -> list[str]:
    lines = ["## Cost\n", "Milliseconds of one core, the least of some rounds, English:\n"]
    lines += [f"| text | {DEEP} layers | {SHALLOW} layers |", "|---|---|---|"]
    for chars in (60, 200, 500, 1_500):
        sample = Sample(cost.text_of(chars), Part.PROMPT)
        lines.append(_cost_of(f"prompt, {chars:,} characters", depths, sample))
    both = Sample(cost.text_of(1_500), Part.EXCHANGE, cost.text_of(500))
    lines.append(_cost_of("exchange, 500 + 1,500 characters", depths, both))
    return [*lines, f"\nMachine: {cost.machine()}.\n"]


def _cost_of(name: str, depths: Sequence[Semantic], sample: Sample) -> str:
    return f"| {name} | {' | '.join(f'{_least_ms(it, [sample]):.1f}' for it in depths)} |"


def _of_both(reports: Sequence[Mapping[Part, Report]]) -> list[str]:
    lines = [
        "## Either depth\n",
        "| part | layers | AUROC | recall at 1% | worst benign source at 1% | threshold of 1% |",
        "|---|---|---|---|---|---|",
    ]
    for part in reports[0]:
        for layers, of_depth in zip((DEEP, SHALLOW), reports, strict=True):
            cells = [_shown(of_depth[part], *it) for it in _SUMMARY]
            threshold = f"{of_depth[part].thresholds['1pct']:.4f}"
            lines.append(f"| {part} | {layers} | {' | '.join([*cells, threshold])} |")
    return [*lines, ""]


_SUMMARY = (
    ("misuse", MEAN, "auroc"),
    ("misuse", MEAN, "recall_at_1pct"),
    ("benign", WORST, "flagged_at_1pct"),
)


def _shown(report: Report, *key: str) -> str:
    found = report.shown((key[0], key[1], key[2]))
    return tables.figure(found) if found else tables.UNMEASURED


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
        "against its own benign rows. Requests, jailbreaks and injections have probes of their",
        "own; `any` is the sum of their odds, those of the latter two divided by what was best",
        "there. It is calibrated the same way, by isotonic regression where rows suffice. A",
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
