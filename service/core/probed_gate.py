"""The gate of an answer whose model is looked into: what probes tell can cut it off, too.

Probes tell of an answer while its events are on their way. So at each event that comes, what is
known by then is looked at; what the gate holds back at that moment has not left.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Final

from service.core.gate import AnswerGate
from service.core.probed import Probed
from service.core.screens import ModelScreens
from service.core.surfaces.answers import START, Piece, Place

LEAST_TOKENS: Final = 8
"""Of each answer: what is read of fewer says too little of it to cut it off."""

Ask = Callable[[], Probed | None]
"""Says what is known of the exchange now: the same object for as long as that is the same."""


class ProbedGate(AnswerGate):
    """Holds the events of one answer back as its parent does, and looks at readings beside it."""

    __slots__ = ("_answers", "_ask", "_seen")

    def __init__(self, screens: ModelScreens, ask: Ask) -> None:
        """Look at nothing yet."""
        super().__init__(screens)
        self._ask = ask
        self._answers = 1
        self._seen: Probed | None = None

    def take(
        self,
        event: bytes,
        pieces: Sequence[Piece],
        finished: Collection[int] = (),
        place: Place = START,
    ) -> None:
        """Take an event in, screen its text, and look at what is known of the answer now."""
        super().take(event, pieces, finished, place)
        self._look_inside(pieces)

    def take_whole(self, pieces: Sequence[Piece]) -> None:
        """Take an answer that has come as one, and look at what is known of it."""
        super().take_whole(pieces)
        self._look_inside(pieces)

    def _look_inside(self, pieces: Sequence[Piece]) -> None:
        self._answers = max([self._answers, *(piece.choice + 1 for piece in pieces)])
        screens = self._screens
        if screens is None or self.crossed is not None:
            return
        probed = self._ask()
        if probed is None or probed is self._seen:
            return
        self._seen = probed
        reading = probed.answers()
        if reading is not None and reading.tokens >= LEAST_TOKENS * self._answers:
            self.crossed = screens.look_at_reading(reading)
