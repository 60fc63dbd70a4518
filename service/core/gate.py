"""The gate of an answer: events come in, and leave once their text was screened.

The texts of one choice (reasoning, content, refusal, tool calls, in the order in which they
came) are screened as one text, so that nothing hides on a border between events or parts. While
a choice goes on, the last `hold_chars` characters of its text stay back: a passage that is
recognised when its last character comes has been released at most as far as it is longer than
that. Tool calls stay back until the choice ends. What they spell when their escapes are decoded,
and what stands beside what a choice says (the tokens of log probabilities, say), is screened as a
text of its own. Events leave in the order in which they came.
"""

import math
from collections import deque
from collections.abc import Collection, Sequence

from service.core.policies import AnswerMode, Policy
from service.core.screening import Found
from service.core.screens import GrowingScreen, ModelScreens
from service.core.surfaces.answers import SIDES, START, Piece, Place
from service.core.surfaces.escapes import Unescaper, unescaped

_BORDER = "\n"
"""Stands between two parts of a choice in the text that is screened."""


def hold_chars(policy: Policy) -> float:
    """Return how much text of a choice stays back while the choice goes on."""
    return policy.window_chars if policy.answer_mode is AnswerMode.WINDOW else math.inf


class _Choice:
    """The text of one choice so far. Positions are numbers of characters that were screened."""

    __slots__ = ("_call", "_part", "call_start", "has_finished", "length", "screens")

    def __init__(self, screens: list[GrowingScreen]) -> None:
        self.screens = screens
        self.length = 0
        self.call_start = math.inf
        """Where the first tool call begins: it is known to be complete when the choice ends."""
        self.has_finished = False
        self._part = ""
        self._call = -1

    def add(self, piece: Piece) -> str:
        """Note a piece, and return the text that it adds to what is screened."""
        text = piece.text
        self.has_finished = False  # who goes on after the end is held back until the answer's
        if piece.part != self._part or piece.call != self._call:
            if piece.part == "tool_calls" and self.call_start is math.inf:
                self.call_start = self.length
            if self._part:
                text = _BORDER + text
            self._part, self._call = piece.part, piece.call
        self.length += len(text)
        return text


_Key = tuple[int, str]
"""Which text: a choice, and "" for what it says, else which of its sides, or `_SPELT`."""
_SPELT = "spelt"
"""The tool calls of a choice with their escapes decoded: what they spell, if they are JSON."""


def _key(piece: Piece) -> _Key:
    return piece.choice, piece.part if piece.part in SIDES else ""


_Needs = tuple[tuple[_Choice, int], ...]
"""Up to where the texts of choices have to be released for an event."""
_Held = tuple[bytes, _Needs, int, Place]
"""An event, what it needs, how many characters it holds, where the stream stands behind it."""


class AnswerGate:
    """Holds the events of one answer back."""

    __slots__ = (
        "_choices",
        "_escapes",
        "_finished",
        "_held",
        "_hold",
        "_screens",
        "crossed",
        "generated_chars",
        "place",
        "released_chars",
        "unscanned_chars",
    )

    def __init__(self, screens: ModelScreens) -> None:
        """Hold back what the model's policy says, and nothing if that is only to observe."""
        self._screens: ModelScreens | None = screens
        self._hold = None if screens.observe_only else hold_chars(screens.policy)
        self._choices: dict[_Key, _Choice] = {}
        self._escapes: dict[tuple[int, int], Unescaper] = {}
        self._finished: set[int] = set()
        self._held: deque[_Held] = deque()
        self.place: Place = START
        """Where the stream stands, as far as it was released."""
        self.crossed: Found | None = None
        """The first point that the answer crossed, with its score."""
        self.generated_chars = 0
        self.released_chars = 0
        self.unscanned_chars = 0
        """How many of those released were not screened: 0 unless `give_up` was called."""

    def take(
        self,
        event: bytes,
        pieces: Sequence[Piece],
        finished: Collection[int] = (),
        place: Place = START,
    ) -> None:
        """Take an event in, with the text that it holds, and screen that.

        `finished` are the choices that have ended, `place` where the stream stands behind the
        event. What a detector raises comes through: then `give_up`, or release nothing more.
        """
        needs: _Needs = ()
        chars = sum(len(piece.text) for piece in pieces if piece.part not in SIDES)
        self.generated_chars += chars
        try:
            for piece in pieces:
                choice = self._choice(_key(piece))
                self._screen(choice, piece)
                needs += ((choice, choice.length),)
                if piece.part == "tool_calls":
                    self._screen(self._choice((piece.choice, _SPELT)), self._spelt(piece))
        finally:
            self._held.append((event, needs, chars, place))
        if len(finished) != len(self._finished):
            self._finish(set(finished))

    def take_whole(self, pieces: Sequence[Piece]) -> None:
        """Take an answer that has come as one, and screen it: as `take`, and cheaper."""
        if self._screens is None or not pieces:
            return
        texts: dict[_Key, list[str]] = {}
        for piece in pieces:
            texts.setdefault(_key(piece), []).append(piece.text)
            if piece.part == "tool_calls" and "\\" in piece.text:
                texts.setdefault((piece.choice, _SPELT), []).append(unescaped(piece.text))
            if piece.part not in SIDES:
                self.generated_chars += len(piece.text)
        for parts in texts.values():
            if self.crossed is None:
                self.crossed = self._screens.look_at_answer(_BORDER.join(parts))

    def release_whole(self) -> None:
        """Count an answer that has come as one as released."""
        self.released_chars = self.generated_chars
        if self.has_given_up:
            self.unscanned_chars = self.generated_chars

    def release(self) -> list[bytes]:
        """Return the events that may leave now."""
        events: list[bytes] = []
        while self._held and self._may_leave(self._held[0][1]):
            self._let_go(events)
        return events

    def release_rest(self) -> list[bytes]:
        """Return all events that are left: the answer has ended, and all of it was screened."""
        events: list[bytes] = []
        while self._held:
            self._let_go(events)
        return events

    def give_up(self) -> None:
        """Hold and screen nothing from now on: what is still to come counts as unscanned."""
        self._hold = self._screens = None
        for choice in self._choices.values():
            choice.screens = []

    @property
    def has_given_up(self) -> bool:
        """Say whether text passes unscreened."""
        return self._screens is None

    def _may_leave(self, needs: _Needs) -> bool:
        hold = self._hold
        if hold is None or not needs:
            return True
        if hold == math.inf:
            return False
        for choice, end in needs:
            is_near = end > choice.length - hold or end > choice.call_start
            if is_near and not choice.has_finished:
                return False
        return True

    def _finish(self, finished: set[int]) -> None:
        new = finished - self._finished
        self._finished |= finished
        for (index, _), choice in self._choices.items():
            choice.has_finished = choice.has_finished or index in new

    def _screen(self, choice: _Choice, piece: Piece) -> None:
        text = choice.add(piece)
        for screen in choice.screens:
            if (found := screen.add(text)) is not None and self.crossed is None:
                self.crossed = found

    def _spelt(self, piece: Piece) -> Piece:
        """Return what a piece of a tool call adds to what the call spells."""
        key = piece.choice, piece.call
        if (escapes := self._escapes.get(key)) is None:
            escapes = self._escapes[key] = Unescaper()
        return Piece(piece.choice, piece.part, escapes.add(piece.text), piece.call)

    def _choice(self, key: _Key) -> _Choice:
        choice = self._choices.get(key)
        if choice is None:
            screens = self._screens.growing() if self._screens is not None else []
            choice = self._choices[key] = _Choice(screens)
        return choice

    def _let_go(self, events: list[bytes]) -> None:
        event, _, chars, self.place = self._held.popleft()
        events.append(event)
        self.released_chars += chars
        if self.has_given_up:
            self.unscanned_chars += chars
