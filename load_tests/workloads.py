"""What is put on a system: how large the requests are, how many at once, how the answers stream."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Stream:
    """How answers stream: `chunks` of a word each, one every `interval_ms`."""

    interval_ms: int
    chunks: int
    stagger_us: int = 3700
    """Between the starts of two streams; no divisor of an interval: they do not tick together."""

    @property
    def model(self) -> str:
        """The mock's own names say how it streams."""
        return f"mock-{self.interval_ms}-{self.chunks}"

    @property
    def events(self) -> int:
        """The chunks and the usage chunk; [DONE] is not counted."""
        return self.chunks + 1

    @property
    def seconds(self) -> float:
        """How long one answer takes."""
        return self.interval_ms * self.chunks / 1000


@dataclass(frozen=True, slots=True)
class Workload:
    """`connections` at once, each of which sends its next request when its answer is complete."""

    name: str
    connections: int
    body_bytes: int = KIB * 3 // 2
    stream: Stream | None = None

    @property
    def kind(self) -> str:
        """What load.c calls it."""
        return "sse" if self.stream else "json"

    @property
    def model(self) -> str:
        """The model that is asked."""
        return self.stream.model if self.stream else "mock-20"

    def shape(self, extra_events: int = 0) -> tuple[int, ...]:
        """What load.c takes besides: events of a stream and stagger."""
        if not self.stream:
            return ()
        return (self.stream.events + extra_events, self.stream.stagger_us)

    def length_s(self, seconds: float) -> float:
        """When to start no more, so that every connection has had equally many streams.

        Half a stream before the end of the last: else some connections would begin another, and
        its events would be measured with few streams beside it.
        """
        if not self.stream:
            return seconds
        return (max(1, round(seconds / self.stream.seconds)) - 0.5) * self.stream.seconds


JSON: Final = Workload("json", 16)
JSON_32K: Final = Workload("json-32k", 16, body_bytes=32 * KIB)
SSE: Final = Workload("sse", 100, stream=Stream(interval_ms=20, chunks=100))
SSE_1000: Final = Workload("sse-1000", 1000, stream=Stream(interval_ms=200, chunks=50))
"""As many events a second as SSE: what differs is how many streams they belong to."""
PROBE: Final = Workload("probe", 1, stream=Stream(interval_ms=1, chunks=3, stagger_us=0))
"""One short stream at a time, for its first byte."""
CPU_WORKLOADS: Final = MappingProxyType({it.name: it for it in (JSON, JSON_32K, SSE, SSE_1000)})
MODELS: Final = tuple(dict.fromkeys(it.model for it in (JSON, JSON_32K, SSE, SSE_1000, PROBE)))
