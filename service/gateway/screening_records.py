"""What the gateway's own screens did, as the events of an exchange tell it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import msgspec

from service.core.gate import AnswerGate
from service.core.screening import BLOCK, DETECTOR_ERROR, Found
from service.core.screens import ModelScreens, ReadingScreen, Screen
from service.events.schema import Crossing, Screening
from service.gateway.prompt_screen import NOTHING_FOUND, PromptFinding


@dataclass(frozen=True, slots=True)
class ScreeningRecords:
    """The records of one model's screens; those of a part without a finding are made once."""

    clean_prompt: Screening
    clean_answer: Screening

    @classmethod
    def of(cls, screens: ModelScreens) -> Self:
        """Make the records that have no finding."""
        return cls(
            clean_prompt=Screening(
                mode=BLOCK,
                detectors=_names(screens.prompt),
                observed_only=screens.observe_only,
            ),
            clean_answer=Screening(
                mode=str(screens.answer_mode),
                detectors=_names((*screens.answer, *screens.readings)),
                observed_only=screens.observe_only,
                window_chars=screens.window_chars,
                max_unscanned_chars=screens.max_unscanned_chars,
            ),
        )

    def prompt(self, finding: PromptFinding) -> Screening:
        """Tell of the screening of a prompt."""
        if finding is NOTHING_FOUND:
            return self.clean_prompt
        return msgspec.structs.replace(
            self.clean_prompt,
            crossed=tuple(_crossing(found) for found in finding.crossed),
            unscanned=finding.unscanned,
        )

    def answer(self, gate: AnswerGate) -> Screening:
        """Tell of the screening of an answer."""
        if gate.crossed is None and not gate.has_given_up:
            return self.clean_answer
        return msgspec.structs.replace(
            self.clean_answer,
            crossed=(_crossing(gate.crossed),) if gate.crossed else (),
            unscanned=DETECTOR_ERROR if gate.has_given_up else None,
            unscanned_chars=gate.unscanned_chars,
        )


def _names(screens: Iterable[Screen | ReadingScreen]) -> tuple[str, ...]:
    return tuple(f"{screen.detector.name}/{screen.detector.version}" for screen in screens)


def _crossing(found: Found) -> Crossing:
    point, score = found
    return Crossing(
        point.name,
        str(point.category),
        score,
        point.threshold,
        point.action,
        point.detector,
        point.version,
    )
