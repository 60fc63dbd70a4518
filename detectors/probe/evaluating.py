"""Probes on labelled rows whose states are on disk: what the plugin would have told of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from detectors.api import Detector, Part, Reading, Sample, Scores
from detectors.cascade import Cascade, Stage
from detectors.comparison import Evaluated, evaluate_all
from detectors.data import Row
from detectors.errors import DataError
from detectors.estimates import Options
from detectors.probe.detector import Probe
from detectors.probe.states import Floats, States, digest_of
from vllm_probe.probes import Probes

OPTIONS = Options(battery_rows=0)
"""What is transformed has other states, which are not on disk."""


class Collected:
    """A `Probe` that finds the reading of each sample among states; other texts have no score."""

    def __init__(self, detector: Probe, probes: Probes, states: States) -> None:
        """Apply the probes to all states.

        Raises:
            DataError: they are of another model, or of a layer or pooling that is not there.
        """
        self._detector = detector
        self.name, self.version = detector.name, detector.version
        self.parts = detector.parts - {Part.ANSWER}  # its prompt is not told, and belongs to it
        log_odds = _log_odds(probes, states)
        self._readings: Mapping[str, Reading] = {
            row.digest: Reading(probes.digest, 1, 1, tuple(found.tolist()))
            for row, found in zip(states.rows, log_odds, strict=True)
        }

    def score(self, samples: Sequence[Sample]) -> list[Scores]:
        """Return the scores of each sample, in order.

        Raises:
            DataError: the states of one are not there.
        """
        return [*self._detector.score([self._with_reading(it) for it in samples])]

    def _with_reading(self, sample: Sample) -> Sample:
        is_prompt = sample.part is Part.PROMPT
        digest = (
            digest_of(sample.text, None) if is_prompt else digest_of(sample.prompt, sample.text)
        )
        if digest not in self._readings:
            raise DataError("the states hold nothing of a row that is to be scored")
        return replace(sample, reading=self._readings[digest])


class Once:
    """A detector that is asked about each sample once: it may be slow, and stands in two rows."""

    def __init__(self, detector: Detector) -> None:
        """Remember nothing yet."""
        self._detector = detector
        self.name, self.version, self.parts = detector.name, detector.version, detector.parts
        self._known: dict[Sample, Scores] = {}

    def score(self, samples: Sequence[Sample]) -> list[Scores]:
        """Return the scores of each sample, in order."""
        new = [it for it in dict.fromkeys(samples) if it not in self._known]
        self._known |= zip(new, self._detector.score(new), strict=True)
        return [self._known[it] for it in samples]


def _log_odds(probes: Probes, states: States) -> Floats:
    """Return what each probe makes of each row: (rows, probes)."""
    if probes.binding.weights != states.manifest.weights_sha256:
        raise DataError("the probes belong to other weights than those that the states are of")
    found = []
    for probe, weights, offset in zip(probes.probes, probes.weights, probes.offsets, strict=True):
        try:
            vectors = states.of(probe.layer, probe.pooling)
        except ValueError:
            words = f"{probe.pooling} of layer {probe.layer}"
            raise DataError(f"the states do not hold the {words}, which a probe reads") from None
        found.append(vectors @ weights + offset)
    together: Floats = np.stack(found, axis=1)
    return together


def evaluate(
    collected: Collected,
    rows: Sequence[Row],
    states: States,
    others: Sequence[Detector],
    say: Callable[[str], None],
) -> list[Evaluated]:
    """Report on other detectors, on the probes, and on the probes with each of those.

    Of the rows those count whose states are there.

    Raises:
        DataError: there are none.
    """
    there = {it.digest for it in states.rows}
    known = [it for it in rows if digest_of(it.text, it.response) in there]
    if not known:
        raise DataError("the states are of none of these rows: name those that were collected")
    say(f"{len(known)} of {len(rows)} rows have states")
    asked = [Once(it) for it in others]
    both = [_both(collected, it) for it in asked]
    return evaluate_all([*asked, collected, *both], known, say, OPTIONS)


def _both(collected: Collected, other: Detector) -> Cascade:
    """Return the mean of both, of the parts that both score."""
    parts = collected.parts & other.parts
    return Cascade(f"{collected.name}+{other.name}", [Stage(collected), Stage(other, only=parts)])
