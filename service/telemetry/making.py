"""Makes metrics, and remembers what docs/metrics.md says of each."""

from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

PREFIX: Final = "watchgate_"


@dataclass(frozen=True, slots=True)
class Spec:
    """What docs/metrics.md says of a metric."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...]


class Maker:
    """Registers metrics and remembers what it made."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Nothing is made yet."""
        self._registry = registry
        self.specs: list[Spec] = []

    def counter(self, name: str, help_: str, *labels: str) -> Counter:
        """Make a counter with these labels."""
        self.specs.append(Spec(PREFIX + name, "counter", help_, labels))
        return Counter(PREFIX + name, help_, labels, registry=self._registry)

    def gauge(self, name: str, help_: str, *labels: str, merge: str = "livesum") -> Gauge:
        """Make a gauge; `merge` makes one value of those of several processes."""
        self.specs.append(Spec(PREFIX + name, "gauge", help_, labels))
        mode: Any = merge
        return Gauge(PREFIX + name, help_, labels, registry=self._registry, multiprocess_mode=mode)

    def histogram(
        self, name: str, help_: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        """Make a histogram with these upper bounds of its buckets."""
        self.specs.append(Spec(PREFIX + name, "histogram", help_, labels))
        return Histogram(PREFIX + name, help_, labels, buckets=buckets, registry=self._registry)
