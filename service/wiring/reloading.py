"""Detectors whose files change while a process works: looked at now and then by a thread."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from detectors.api import Detector, StagedDetector
from detectors.errors import DetectorError
from detectors.reloading import Reloadable
from service.telemetry.metrics import Metrics

_LOOK_S: Final = 2.0
"""Between two looks at the files, each a `stat` of a few of them."""
_STOP_S: Final = 5.0
LOADED, REFUSED = "loaded", "refused"
_log = logging.getLogger(__name__)


def show_versions(detectors: Iterable[Detector], metrics: Metrics) -> None:
    """Tell the versions of detectors; of one that is made of others, theirs."""
    for one in detectors:
        own = {one.name: one.version}
        versions = one.versions if isinstance(one, StagedDetector) else own
        for name, version in versions.items():
            metrics.detector_info.labels(name, version).set(1)


class DetectorWatch:
    """Hands over new versions of detectors, and tells of them."""

    def __init__(
        self,
        reloadable: Sequence[Reloadable],
        use: Callable[[Detector], None],
        metrics: Metrics,
    ) -> None:
        """Count no reload yet; `use` gets each new version, on the thread that looks."""
        self._reloadable = reloadable
        self._use = use
        self._metrics = metrics
        for one in reloadable:
            for outcome in (LOADED, REFUSED):
                metrics.detector_reloads.labels(one.name, outcome)

    def run(self, stop: threading.Event) -> None:
        """Look until told to stop, if there is anything to look at."""
        while self._reloadable and not stop.wait(_LOOK_S):
            self.look()

    def look(self) -> None:
        """Look once at the files of all detectors; raises nothing."""
        for one in self._reloadable:
            try:
                self._look(one)
            except Exception as error:  # noqa: BLE001  (whatever it was: the old version stays)
                self._refuse(one, error)

    def _look(self, one: Reloadable) -> None:
        old = one.detector.version
        new = one.look()
        if new is None:
            return
        self._use(new)
        self._metrics.detector_info.labels(one.name, old).set(0)
        self._metrics.detector_info.labels(one.name, new.version).set(1)
        self._metrics.detector_reloads.labels(one.name, LOADED).inc()
        _log.info("%s: version %s took the place of %s", one.name, new.version, old)

    def _refuse(self, one: Reloadable, error: Exception) -> None:
        self._metrics.detector_reloads.labels(one.name, REFUSED).inc()
        known = isinstance(error, DetectorError)
        why = "; ".join(str(error).splitlines()) if known else type(error).__name__
        in_use = one.detector.version
        _log.error("%s: the changed files are refused, %s stays: %s", one.name, in_use, why)


@contextlib.contextmanager
def watching(watch: DetectorWatch) -> Iterator[None]:
    """Let a thread of its own look meanwhile."""
    stop = threading.Event()
    thread = threading.Thread(target=watch.run, args=(stop,), name="detectors", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_STOP_S)
