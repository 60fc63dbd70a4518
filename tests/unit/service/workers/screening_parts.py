"""Events, detectors and a journal for the tests of the workers."""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from prometheus_client import CollectorRegistry

from detectors.api import Category, Detector, Part, Sample
from service.core.screening import Point
from service.core.surfaces.answers import Answer, Choice
from service.events.log import Position, Received, Record
from service.events.schema import Closed, Opened, Outcome, Verdict, to_event, to_record
from service.telemetry.metrics import Metrics
from service.workers.screener import Screener

NOW = 1_000_000.0


def opened(exchange_id: str = "ex-1", *, at: float = NOW - 20, surface: str = "chat") -> Opened:
    return Opened(
        exchange_id=exchange_id,
        at=at,
        account="acme",
        project="acme",
        key="key_acme",
        model="m",
        surface=surface,
        tier=1,
        upstream="local",
        stream=False,
    )


def closed(
    exchange_id: str = "ex-1",
    *,
    at: float = NOW - 10,
    opened_at: float = NOW - 20,
    served_number: int = 1,
    outcome: Outcome = "completed",
) -> Closed:
    return Closed(
        exchange_id=exchange_id,
        at=at,
        account="acme",
        project="acme",
        key="key_acme",
        model="m",
        surface="chat",
        tier=1,
        outcome=outcome,
        opened_at=opened_at,
        served_number=served_number,
        boot="0123456789abcdef",
    )


def chat_body(*content: object) -> bytes:
    """Return a chat request with messages of these contents."""
    messages = [{"role": "user", "content": one} for one in content]
    return msgspec.json.encode({"model": "m", "messages": messages})


def answer_content(text: str) -> bytes:
    """Return a recorded answer."""
    return msgspec.json.encode(Answer([Choice(0, text)]))


def received(
    event: Opened | Closed | Verdict,
    content: bytes | None = None,
    *,
    offset: int = 1,
    log: str = "gateway-0",
    key_id: str | None = None,
) -> Received:
    """Return an event as a reader gives it."""
    record = to_record(event, content)
    if key_id is not None:
        record = Record(
            record.topic, record.key, record.kind, record.id, record.body, content, key_id
        )
    return Received(record, Position(log, 1, offset))


def prompt(text: str, exchange_id: str = "ex-1") -> Received:
    return received(opened(exchange_id), chat_body(text))


def answer(text: str, exchange_id: str = "ex-1") -> Received:
    return received(closed(exchange_id), answer_content(text))


class WordDetector:
    """Scores 0.9 if a text has the word, else 0.1."""

    def __init__(
        self,
        name: str = "words",
        parts: frozenset[Part] = frozenset({Part.PROMPT, Part.ANSWER}),
        score: Callable[[str], float] = lambda text: 0.9 if "bad" in text else 0.1,
    ) -> None:
        self.name = name
        self.version = "3"
        self.parts = parts
        self.batches: list[Sequence[Sample]] = []
        self._score = score

    def score(self, samples: Sequence[Sample]) -> Sequence[Mapping[Category, float]]:
        self.batches.append(samples)
        return [{Category.ANY: self._score(sample.text)} for sample in samples]


class MemoryWriter:
    """A journal in memory, or one that fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.records: list[Record] = []
        self.error = error

    def append_all(self, records: Sequence[Record]) -> Sequence[Position]:
        if self.error is not None:
            raise self.error
        self.records += records
        return [Position("screener-0", 1, n) for n, _ in enumerate(self.records, 1)]

    def close(self) -> None:
        pass

    @property
    def verdicts(self) -> list[Verdict]:
        events = [to_event(record) for record in self.records]
        return [event for event in events if isinstance(event, Verdict)]


class Screening:
    """A screener with its registry of metrics and what it wrote."""

    def __init__(
        self, *detectors: Detector, points: Sequence[Point] = (), writer: MemoryWriter | None = None
    ) -> None:
        self.registry = CollectorRegistry()
        self.writer = writer or MemoryWriter()
        self._screener = Screener(
            detectors, lambda: points, self.writer, Metrics(self.registry), clock=lambda: NOW
        )

    def __call__(self, *batch: Received) -> list[Verdict]:
        """Handle a batch and return its verdicts."""
        before = len(self.writer.records)
        self._screener.handle(batch)
        return self.writer.verdicts[before:]

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"watchgate_{name}", labels) or 0.0
