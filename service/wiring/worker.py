"""What the worker processes share: store, metrics, ops port, threads and a clean stop."""

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from service.events.journal import Journal
from service.events.log import EventReader, Received, Topic
from service.events.schema import AnyEvent
from service.settings import KafkaLog, Settings
from service.store import Store
from service.telemetry import trace_names as names
from service.telemetry.labels import declare
from service.telemetry.metrics import Metrics
from service.telemetry.ops import (
    OpsAddress,
    Reason,
    make_ops_app,
    metrics_of,
    ops_server,
    serve_in_thread,
)
from service.telemetry.tracing import make_tracer
from service.wiring.certificates import show_certificates
from service.wiring.parts import (
    clock,
    is_prepared,
    make_metrics,
    own_journal,
    prepare_later,
    reader_of,
)
from service.workers.loop import DEAD_LETTER_REASONS, Handler, Loop
from service.workers.progress import Progress, Pulse
from service.workers.traced import Told, TracedHandler

_log = logging.getLogger(__name__)

Tick = Callable[[Sequence[Received]], None]
Run = Callable[[threading.Event], None]


class Worker:
    """One worker process."""

    def __init__(self, role: str, settings: Settings, ops: OpsAddress) -> None:
        """Take up the store; nothing runs yet, and it may be away."""
        self._role = role
        self._settings = settings
        self._ops = ops
        self._registry, self.metrics = make_metrics(role)
        show_certificates(settings, self.metrics, "event_log")
        self._stop = threading.Event()
        self._running = False
        self._failed = False
        self._threads: list[threading.Thread] = []
        self._looks: list[Callable[[], None]] = []
        self._resources = contextlib.ExitStack()
        self.store = Store(settings.store.url)
        self._resources.callback(self.store.close)
        if not is_prepared(self.store):
            self.add(lambda stop: prepare_later(self.store, stop))
        self._tracer = make_tracer(role, self.metrics.upkeep.trace_spans)
        self._resources.callback(self._tracer.close)
        self._pulse = Pulse(self.store, clock)
        self.add(self._pulse.run)

    def __enter__(self) -> Self:
        """Answer on the ops port, and listen to signals."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        app = make_ops_app(self._readiness, metrics_of(self._registry))
        serve_in_thread(ops_server(app, self._ops))
        return self

    def __exit__(self, *exception: object) -> None:
        """Close what was opened."""
        self._resources.close()

    def await_store(self) -> bool:
        """Wait until the store can be used; False: told to stop before that.

        Raises:
            ConfigError: the database was made by a newer version of Watchgate.
        """
        if not is_prepared(self.store):
            prepare_later(self.store, self._stop)
        return not self._stop.is_set()

    @contextlib.contextmanager
    def journal(self) -> Iterator[Journal]:
        """Open the journal that this worker appends to."""
        with own_journal(self._settings, self._role) as journal:
            used = self.metrics.upkeep.journal_used.labels(self._role)
            free = self.metrics.upkeep.disk_free.labels(self._role)
            self._looks += [
                lambda: used.set(journal.used_share),
                lambda: free.set(journal.disk_free),
            ]
            yield journal

    def watched(self, group: str, reader: EventReader) -> Progress:
        """Give signs of life of a group that reads, and close its reader in the end."""
        self._resources.callback(reader.close)
        lag = self.metrics.lag_records
        progress = Progress(reader, clock, lambda topic, n: lag.labels(group, topic).set(n))
        self._pulse.add(group, progress)
        lag_s = self.metrics.upkeep.lag_seconds.labels(group)
        self._looks.append(lambda: lag_s.set(progress.lag_s()))
        return progress

    def traced(
        self, group: str, topic: Topic, handler: Handler, tell: Callable[[AnyEvent], Told | None]
    ) -> Handler:
        """Return a handler whose work shows in traces, where they are made."""
        if not self._tracer.is_on:
            return handler
        kafka = isinstance(self._settings.event_log, KafkaLog)
        shared = {
            names.MESSAGING_SYSTEM: names.KAFKA if kafka else names.WATCHGATE,
            names.MESSAGING_OPERATION: self._role,
            names.MESSAGING_OPERATION_TYPE: names.PROCESS,
            names.MESSAGING_TOPIC: topic,
            names.MESSAGING_GROUP: group,
        }
        return TracedHandler(handler, self._tracer, tell, shared)

    def loop(  # noqa: PLR0913  (what a loop is made of)
        self,
        group: str,
        topics: Sequence[Topic],
        handler: Handler,
        journal: Journal,
        *,
        wrap: Callable[[EventReader], EventReader] = lambda reader: reader,
        tick: Tick = lambda _records: None,
    ) -> None:
        """Add a loop over what a group has to read."""
        reader = self.watched(group, reader_of(self._settings, group, topics, journal))
        loop = Loop(
            group=group,
            reader=wrap(reader),
            handler=handler,
            dead_letters=journal,
            watcher=LoopWatcher(group, topics, self.metrics, tick),
            clock=clock,
        )
        self.add(loop.run)

    def add(self, run: Run) -> None:
        """Add something that runs in a thread of its own until the stop is set."""
        self._threads.append(threading.Thread(target=self._guard, args=(run,), daemon=True))

    def at_end(self, call: Callable[[], None]) -> None:
        """Have something called once all threads have ended."""
        self._resources.callback(call)

    def run(self) -> int:
        """Run all threads until told to stop, or until one of them fails: then 1."""
        for thread in self._threads:
            thread.start()
        self._running = True
        while not self._stop.wait(1.0):
            for look in self._looks:
                look()
        for thread in self._threads:
            thread.join()
        return 1 if self._failed else 0

    def _guard(self, run: Run) -> None:
        try:
            run(self._stop)
        except Exception as error:  # noqa: BLE001  (a dead thread must end the process)
            extra = {"error": type(error).__name__, "detail": str(error)}
            _log.error("the %s failed", self._role, extra=extra)
            self._failed = True
            self._stop.set()

    def _readiness(self) -> list[Reason]:
        if self._stop.is_set():
            return [Reason("stopping", f"the {self._role} is stopping")]
        return [] if self._running else [Reason("starting", f"the {self._role} is starting")]


class LoopWatcher:
    """Counts what a loop does, and lets something else happen after each turn."""

    def __init__(self, group: str, topics: Sequence[Topic], metrics: Metrics, tick: Tick) -> None:
        """Count nothing yet."""
        declare(metrics.dead_letters, topics, DEAD_LETTER_REASONS)
        self._group = group
        self._metrics = metrics
        self._tick = tick

    def on_turn(self, done: Sequence[Received]) -> None:
        """Tick; a store that is away is used again later."""
        try:
            self._tick(done)
        except SQLAlchemyError as error:
            _log.warning("the store cannot be used: %s", type(error).__name__)

    def on_dead_letter(self, topic: Topic, reason: str) -> None:
        """Count a record that was put aside."""
        _log.error("a record was put aside", extra={"group": self._group, "reason": reason})
        self._metrics.dead_letters.labels(topic, reason).inc()

    def on_pause(self, error: Exception) -> None:
        """Tell that a batch waits."""
        _log.warning("%s waits: %s", self._group, type(error).__name__)
