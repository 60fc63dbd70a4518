"""Telling the Alertmanagers, from the outbox: whatever they missed while away, they get later."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Self

from sqlalchemy.exc import SQLAlchemyError

from service.core.alerts import (
    Alert,
    Delivery,
    State,
    acknowledged,
    failed,
    payload,
    state_to_send,
)
from service.store.alerts import due_deliveries, next_delivery_at, save_deliveries, settle
from service.store.engine import Store
from service.workers.alertmanager import Alertmanager

POLL_S: Final = 1.0
"""How soon a new alert is seen in the outbox."""

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """`resend_s` between two sends of an alert that fires, `hold_s` from its last verdict on."""

    resend_s: float
    hold_s: float


class AlertSender:
    """Sends what is due, to each Alertmanager in a thread of its own, and resolves quiet alerts.

    All that it knows is in the store: several may run, and any of them may die.
    """

    def __init__(
        self,
        store: Store,
        urls: Sequence[str],
        pace: Pace,
        on_delivery: Callable[[bool], None] = lambda _ok: None,
    ) -> None:
        """Take the Alertmanagers' addresses; `on_delivery` hears of each post from its thread."""
        self._store = store
        self._pace = pace
        self._on_delivery = on_delivery
        self._alertmanagers = [Alertmanager(url) for url in urls]
        self._threads = ThreadPoolExecutor(max(1, len(urls)), "alertmanager")

    def run(self, stop: threading.Event) -> None:
        """Send until told to stop; a store that cannot be used for a while is waited for."""
        with self:
            while not stop.is_set():
                stop.wait(self._try_step())

    def step(self, now: float) -> float:
        """Send what is due at `now` (Unix seconds); return the seconds until more may be."""
        with self._store.begin() as connection:
            urls = [alertmanager.name for alertmanager in self._alertmanagers]
            settle(connection, urls, quiet_since=now - self._pace.hold_s, now=now)
        served = self._threads.map(lambda one: self._serve(one, now), self._alertmanagers)
        return min([POLL_S, *served])

    def close(self) -> None:
        """Let the threads end. May be called twice."""
        self._threads.shutdown()

    def __enter__(self) -> Self:
        """Close in the end."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Close."""
        self.close()

    def _try_step(self) -> float:
        try:
            return self.step(time.time())
        except SQLAlchemyError as error:
            _log.warning("the outbox cannot be used: %s", type(error).__name__)
            return POLL_S

    def _serve(self, alertmanager: Alertmanager, now: float) -> float:
        """Post what is due for one Alertmanager; return the seconds until more is."""
        with self._store.read() as connection:
            due = due_deliveries(
                connection, alertmanager.name, now=now, resend_s=self._pace.resend_s
            )
        if due:
            self._deliver(alertmanager, due, now)
        with self._store.read() as connection:
            next_at = next_delivery_at(connection, alertmanager.name)
        return POLL_S if next_at is None else max(0.0, next_at - now)

    def _deliver(
        self, alertmanager: Alertmanager, due: Sequence[tuple[Alert, Delivery]], now: float
    ) -> None:
        pace = self._pace
        states = [state_to_send(alert, delivery, pace.hold_s, now) for alert, delivery in due]
        error = self._post(alertmanager, [a for a, _ in due], states, now)
        self._on_delivery(error is None)
        with self._store.begin() as connection:
            save_deliveries(
                connection,
                [
                    acknowledged(delivery, state, now, pace.resend_s)
                    if error is None
                    else failed(delivery, error, now, pace.resend_s)
                    for (_, delivery), state in zip(due, states, strict=True)
                ],
            )

    def _post(
        self,
        alertmanager: Alertmanager,
        alerts: Sequence[Alert],
        states: Sequence[State],
        now: float,
    ) -> str | None:
        """Post these alerts; return what went wrong."""
        pace = self._pace
        entries = [
            payload(alert, state, now=now, hold_s=pace.hold_s, resend_s=pace.resend_s)
            for alert, state in zip(alerts, states, strict=True)
        ]
        error = alertmanager.post(entries)
        if error is not None:
            _log.warning("%s did not take %d alerts: %s", alertmanager.name, len(entries), error)
        return error
