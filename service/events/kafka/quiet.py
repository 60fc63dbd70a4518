"""Keeps the Kafka library's own log from flooding ours, and prompts out of it.

At DEBUG the library writes keys and values, which hold prompts; while a broker is away it writes
several errors a second. Its errors name brokers, topics and groups only.
"""

import logging
import time
from typing import Final

INTERVAL_S: Final = 60.0

_library = logging.getLogger("kafka")
_ours = logging.getLogger(__name__)


class Seldom(logging.Handler):
    """Hands errors on as warnings, those from one line of code at most once a minute."""

    def __init__(self) -> None:
        """Start with nothing said."""
        super().__init__(logging.ERROR)
        self._said_at: dict[tuple[str, int], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Hand the message on, without the traceback, unless it was said a moment ago."""
        place, now = (record.pathname, record.lineno), time.monotonic()
        if now - self._said_at.get(place, -INTERVAL_S) >= INTERVAL_S:
            self._said_at[place] = now
            _ours.warning("%s", record.getMessage())


def quieten() -> None:
    """Put the library's log behind a `Seldom`. May be called again."""
    if not any(isinstance(handler, Seldom) for handler in _library.handlers):
        _library.addHandler(Seldom())
        _library.propagate = False
        _library.setLevel(logging.ERROR)
