"""Shows how much will end soon: keys, tokens and points that somebody has to renew."""

import logging
import threading
from collections.abc import Callable
from typing import Final

from prometheus_client import Gauge
from sqlalchemy.exc import SQLAlchemyError

from service.store.engine import Store
from service.store.expiring import count_expiring

SOON_S: Final = 7 * 86_400.0
_LOOK_S: Final = 60.0
_log: Final = logging.getLogger(__name__)


class ExpiryWatch:
    """Counts now and then what ends within seven days."""

    def __init__(self, store: Store, expiring: Gauge, clock: Callable[[], float]) -> None:
        """Show nothing yet."""
        self._store = store
        self._expiring = expiring
        self._clock = clock

    def run(self, stop: threading.Event) -> None:
        """Look until told to stop; a store that cannot be used is asked again later."""
        while not stop.is_set():
            try:
                self.look()
            except SQLAlchemyError as error:
                _log.warning("what ends soon cannot be counted: %s", type(error).__name__)
            stop.wait(_LOOK_S)

    def look(self) -> None:
        """Count once."""
        with self._store.read() as connection:
            counts = count_expiring(connection, self._clock(), SOON_S)
        for kind, count in counts.items():
            self._expiring.labels(kind).set(count)
