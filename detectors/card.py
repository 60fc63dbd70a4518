"""The card of a trained lexical model, in markdown: written by code, so that it cannot flatter."""

from collections import Counter
from collections.abc import Mapping, Sequence

from detectors import tables
from detectors.api import Part
from detectors.cost import Cost
from detectors.data import Licence, Row
from detectors.evaluation import Report
from detectors.features import STEM
from detectors.lexical import LIKELY, WORDLESS
from detectors.plain import LONG, SHORT
from detectors.slices import MAX_CHARS
from detectors.training import Trained

CARD = "card.md"

_INTRODUCTION = f"""\
# Detector `lexical`

Logistic regressions, averaged, over hashed words and pairs of neighbouring words of the normalised
text (NFKC, invisible characters removed, casefolded, look-alike letters and digits read as Latin
letters; the first {STEM} characters of a word count), one head each for prompts, answers and
exchanges. Of prompts there are models for requests of misuse, for jailbreaks and for injections,
whose odds are added up. Each head gives the category `any`: the probability that the text is
misuse, of whatever kind.

## What it is for
The cheap first look at every prompt and every answer. It ranks; an operating point decides, and
a person or a stronger detector should look before anybody is suspended on its word.

## What it cannot do
- It sees words, not meaning: it flags benign security and trigger-word prompts far more often
  than small talk, and misses misuse in plain words. See the tables, worst first.
- It takes off one layer of base64, of hexadecimal digits, of letters spaced one by one, or of
  rot13 in English. Other ciphers pass, as does what is encoded twice. A request between pages of
  prose is found less often than alone (see the table on robustness). A text without a word (signs
  and emoji only) gets {WORDLESS}.
- The probability is calibrated on sources that the model had not seen, for a mixture of half
  benign and half misuse. Real traffic has far less misuse: take thresholds from benign traffic of
  your own, not from the number itself.
- The answer head learnt from two labelled sources, whose benign rows are refusals nearly all, and
  a little from benign prose. It knows refusals better than harm, and takes an answer as a whole:
  what stands in a few lines of a long one counts little. Record its scores, but do not act on them.
- The exchange head learnt from the same answers without the prose: all of them answer requests for
  misuse, and it tells those who comply from those who refuse. Where the prompt is known and its
  probability is under {LIKELY}, the score is less in proportion; without the prompt, every helpful
  answer looks like misuse.
- No head for single categories: the sources' category labels are mostly assigned by keyword,
  and a score trained on them would claim more than it knows. Biology in particular cannot be
  measured: public rows are too few.
- A prompt of more than {LONG} words is as suspect as its worst stretch of {LONG}, and as its worst
  of {SHORT} where that is very suspect, so long prompts score higher. Above {MAX_CHARS:,}
  characters only spans of the text are seen: limit request bodies below that.
"""


def render(
    version: str,
    heads: Mapping[Part, Trained],
    reports: Mapping[Part, Report],
    costs: Sequence[Cost],
    sources: Sequence[str],
) -> str:
    """Return the whole card."""
    return "\n".join(
        [
            _INTRODUCTION,
            f"Model version `{version}`.\n",
            *_cost(costs),
            *_selection(heads),
            *quality(reports),
            "## Sources and licences\n",
            *sources,
            "",
        ]
    )


def source_table(
    rows: Sequence[Row], licences: Mapping[str, Licence], rows_per_source: int
) -> list[str]:
    """Return a table of the sources that the model learnt from."""
    total = Counter(row.source for row in rows)
    misuse = Counter(row.source for row in rows if row.label)
    return [
        f"At most {rows_per_source:,} prompts of each source are used, chosen by a hash of their",
        "ids, and all answers; long prose of some benign sources also teaches the answer head.\n",
        "| source | rows | of them misuse | licence |",
        "|---|---|---|---|",
        *(f"| {it} | {total[it]} | {misuse[it]} | {licences[it].name} |" for it in sorted(total)),
    ]


def _cost(costs: Sequence[Cost]) -> list[str]:
    return [
        "## Cost\n",
        "Microseconds of one core for an English text of 500 characters (best of 15 rounds), and",
        "seconds for 1,000 exchanges of a prompt of 500 characters and an answer of 1,500:\n",
        "| engine | alone | in a batch of 64 | 1,000 exchanges | machine |",
        "|---|---|---|---|---|",
        *(
            f"| {c.engine} | {c.single_us:.1f} | {c.batched_us:.1f} | "
            f"{c.thousand_exchanges_s:.3f} | {c.machine} |"
            for c in costs
        ),
        "",
    ]


def _selection(heads: Mapping[Part, Trained]) -> list[str]:
    return [
        "## How it was selected\n",
        "Scikit-learn's C was chosen by the mean AUROC over misuse sources, each scored by a model",
        "that saw neither the source nor its relatives; for answers by the misuse of a source",
        "against its own refusals. Sources, stretches and all else were chosen by the same kind of",
        "cross-validation. The figures of the next sections chose nothing; those of an earlier",
        "model showed that letters, which are words, made suspect what is written so.\n",
        "| part | C | AUROC | recall at 1% | recall at 0.1% | |",
        "|---|---|---|---|---|---|",
        *(
            f"| {part} | {c:g} | {it.auroc:.3f} | {it.recall_at_1pct:.3f} | "
            f"{it.recall_at_01pct:.3f} | {'chosen' if c == head.inverse_regularisation else ''} |"
            for part, head in heads.items()
            for c, it in head.quality.items()
        ),
        "",
    ]


def quality(reports: Mapping[Part, Report]) -> list[str]:
    """Return the sections on quality, a line an item."""
    return [line for report in reports.values() for line in _quality(report)]


def _quality(report: Report) -> list[str]:
    return [
        f"## {tables.heading(report)}",
        "",
        *tables.introduction(report),
        "",
        *(line for table in tables.tables(report) for line in tables.markdown(table)),
    ]
