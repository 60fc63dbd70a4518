"""The card of trained probes, in markdown: written by code, so that it cannot flatter."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from detectors.api import Part
from detectors.card import quality
from detectors.comparison import Evaluated, comparison
from detectors.probe.states import Manifest, States
from detectors.probe.training import Choice, Trained
from detectors.tables import markdown
from detectors.validation import Quality

_TRIED: Final = 8

_INTRODUCTION: Final = """\
# Probes `{name}`

Linear models on what a served language model computes anyway, applied to each token inside vLLM,
and heads that make probabilities of them: the detector `probe`.
[How it works](../../../docs/probes.md).

## What they are for
The first look at what a model reads and writes, at next to no cost, and cutting off answers.

## What they cannot do
- They belong to one model's weights, layers and chat template: on others they do not arm.
- They know what the model makes of a text. What it does not grasp (an encoding that it cannot
  read, say) is noise to them, too.
- The longest prompts that they learnt from had {tokens} tokens, mostly far fewer. The mean of a
  long prompt's tokens says little of a few lines within it.
- Probabilities are calibrated on sources that no probe had seen, for a mixture of half benign and
  half misuse. Real traffic has far less misuse: take thresholds from benign traffic of your own.
- Answers are learnt from rows that say whether a request for misuse was met, and few sources have
  any: record their scores before you act on them.
- Biology cannot be measured with public rows, and has no probe: no claim is made on it.
"""


def render(
    name: str,
    versions: tuple[str, str],
    trained: Trained,
    states: States,
    evaluated: Sequence[Evaluated],
) -> str:
    """Return the card. `versions`: of the heads, and the digest of the probes."""
    lines = [
        _INTRODUCTION.format(name=name, tokens=states.manifest.max_tokens),
        *_of_model(versions, states.manifest),
        *_probes(trained),
        *_selection(trained.choices),
        *_report(name, evaluated),
        *_sources(states),
        "",
    ]
    return "\n".join(lines)


def _of_model(versions: tuple[str, str], manifest: Manifest) -> list[str]:
    return [
        "## What they belong to\n",
        "| | |",
        "|---|---|",
        f"| version of the heads | `{versions[0]}` |",
        f"| digest of the probes | `{versions[1]}` |",
        f"| digest of the weights | `{manifest.weights_sha256}` |",
        f"| digest of the chat template | `{manifest.template_sha256}` |",
        f"| layers, hidden size | {manifest.layers_of_model}, {manifest.hidden_size} |",
        f"| read in | {manifest.dtype} |\n",
    ]


def _probes(trained: Trained) -> list[str]:
    lines = ["## The probes\n", "| | looks for | reads what enters layer | pooling |"]
    lines.append("|---|---|---|---|")
    for number, it in enumerate(trained.columns):
        lines.append(f"| {number} | {it.probe.category} | {it.probe.layer} | {it.probe.pooling} |")
    return [*lines, ""]


def _selection(choices: Mapping[Part, Choice]) -> list[str]:
    lines = [
        "## How they were selected\n",
        "A probe is fitted (linear discriminant, ridge) to the states of one layer, pooled in one",
        "way, with whole families of sources left out; for answers a source's misuse is ranked",
        "against its own benign rows. Probes of one or two places are added up; those count that",
        f"ranked best. The first {_TRIED} of all that were tried:\n",
        "| part | places | AUROC | recall at 1% | recall at 0.1% |",
        "|---|---|---|---|---|",
    ]
    for part, choice in choices.items():
        best = [*choice.tried.items()][:_TRIED]
        lines += [_row(part, " and ".join(map(str, places)), it) for places, it in best]
    lines += [
        "",
        "What is told, on families that were left out. `any` is the best of all that were",
    ]
    lines += ["tried on the same families, and so a little too good:\n"]
    lines += [
        "| part | category | AUROC | recall at 1% | recall at 0.1% |",
        "|---|---|---|---|---|",
    ]
    for part, choice in choices.items():
        lines += [_row(part, name, it) for name, it in choice.quality.items()]
        lines += [_row(part, f"{name} (left out)", it) for name, it in choice.too_weak.items()]
    return [*lines, ""]


def _report(name: str, evaluated: Sequence[Evaluated]) -> list[str]:
    if not evaluated:
        return []
    alone = next(it for it in evaluated if it.name == name)
    return [
        "## On rows of other sources\n",
        *(line for it in comparison(evaluated) for line in markdown(it)),
        *quality(alone.reports),
    ]


def _row(part: Part, name: str, found: Quality) -> str:
    figures = (found.auroc, found.recall_at_1pct, found.recall_at_01pct)
    return f"| {part} | {name} | {' | '.join(f'{it:.3f}' for it in figures)} |"


def _sources(states: States) -> list[str]:
    count = Counter((it.source, it.licence, it.label) for it in states.rows)
    lines = [
        "## Sources and licences\n",
        "| source | rows | of them misuse | licence |",
        "|---|---|---|---|",
    ]
    for source, licence in sorted({(source, licence) for source, licence, _ in count}):
        total = count[source, licence, 0] + count[source, licence, 1]
        lines.append(f"| {source} | {total} | {count[source, licence, 1]} | {licence} |")
    return lines
