"""Why a judge gave no score; no message holds text of a prompt or an answer, or a key.

They stand under DetectorError (detectors/errors.py).

JudgeError           what `Judge.score` raises; `kind` is the metric's label
├── Unreachable      no connection, or it broke off
├── TimedOut         no whole answer within `timeout_s`
├── Busy             429 or 503, and not otherwise within the retries
├── Refused          any other status: the request, the key or the model's name is not accepted
├── Unparseable      an answer that is not in the family's format
├── TooLong          a text of more windows than `max_windows`
└── Paused           the guard failed so often in a row that it is left alone for a while
BadConfig            settings that no judge can be made of
"""

from typing import ClassVar, Final

from detectors.errors import DetectorError


class JudgeError(DetectorError):
    """A sample has no score."""

    kind: ClassVar[str] = "error"


class Unreachable(JudgeError):
    """No connection to the guard, or it broke off."""

    kind = "unreachable"


class TimedOut(JudgeError):
    """No whole answer in time."""

    kind = "timeout"


class Busy(JudgeError):
    """The guard has too much to do (429, 503)."""

    kind = "busy"

    def __init__(self, message: str, wait_s: float | None) -> None:
        """Keep for how long the guard asks to be left alone; None: it is useless to ask again."""
        super().__init__(message)
        self.wait_s = wait_s


class Refused(JudgeError):
    """A status that asking again does not change."""

    kind = "refused"


class Unparseable(JudgeError):
    """An answer that is not in the family's format: prose, a refusal, one that was cut off."""

    kind = "unparseable"


class TooLong(JudgeError):
    """A text of more windows than the settings allow."""

    kind = "too_long"


class Paused(JudgeError):
    """The guard is not asked for a while."""

    kind = "paused"


class BadConfig(DetectorError):
    """Settings that no judge can be made of; the message says what would be right."""


KINDS: Final = frozenset(
    error.kind for error in (Unreachable, TimedOut, Busy, Refused, Unparseable, TooLong, Paused)
)
"""Every kind that is counted: a closed set."""
