"""The gate of an answer whose model is looked into: what probes tell can cut it off, too.

Probes tell of an answer while its events are on their way. So at each event that comes, what is
known by then is looked at; what the gate holds back at that moment has not left.
"""

from collections.abc import Callable, Collection, Sequence

from detectors import api
from service.core.gate import AnswerGate
from service.core.screens import ModelScreens
from service.core.surfaces.answers import START, Piece, Place

Ask = Callable[[], api.Reading | None]
"""Says what is known of the answer now: the same object for as long as that is the same."""


class ProbedGate(AnswerGate):
    """Holds the events of one answer back as its parent does, and looks at readings beside it."""

    __slots__ = ("_ask", "_seen")

    def __init__(self, screens: ModelScreens, ask: Ask) -> None:
        """Look at nothing yet."""
        super().__init__(screens)
        self._ask = ask
        self._seen: api.Reading | None = None

    def take(
        self,
        event: bytes,
        pieces: Sequence[Piece],
        finished: Collection[int] = (),
        place: Place = START,
    ) -> None:
        """Take an event in, screen its text, and look at what is known of the answer now."""
        super().take(event, pieces, finished, place)
        self._look_inside()

    def take_whole(self, pieces: Sequence[Piece]) -> None:
        """Take an answer that has come as one, and look at what is known of it."""
        super().take_whole(pieces)
        self._look_inside()

    def _look_inside(self) -> None:
        screens = self._screens
        if screens is None or self.crossed is not None:
            return
        reading = self._ask()
        if reading is None or reading is self._seen:
            return
        self._seen = reading
        self.crossed = screens.look_at_reading(reading)
