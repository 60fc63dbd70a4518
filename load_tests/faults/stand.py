"""Where faults are brought about: a whole installation, and the lines between its parts."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from load_tests.faults.callers import Caller
from load_tests.faults.judge import Effects, Recorded
from load_tests.faults.log import recorded
from service.events.log import Received, Topic
from tests.e2e.evidence import KafkaContents, firsts
from tests.real_parts.tcp_gate import TcpGate
from tests.real_parts.watchgate import Watchgate

TOPICS: Final = (Topic.EXCHANGES, Topic.VERDICTS)
COUNTERS: Final = ("served", "recorded", "screened")


class NotRunError(RuntimeError):
    """A fault cannot be brought about on this machine; the text says why."""


@dataclass(slots=True)
class Stand:
    """An installation that runs, under callers who can be told to call."""

    folder: Path
    watchgate: Watchgate
    line: TcpGate
    """Between the gateway and vLLM."""
    callers: tuple[Caller, ...]
    parts: dict[str, Any] = field(default_factory=dict)
    """What else there is on this stand, by the family that knows it."""
    others: list[Watchgate] = field(default_factory=list)
    """Other machines' installations, with the same store and event log."""
    closing: ExitStack = field(default_factory=ExitStack)
    """What is to be undone before the stand itself is."""

    def recorded(self) -> Recorded:
        """What the log holds now: the journals, and with Kafka whether it holds the same."""
        log = recorded(record for topic in TOPICS for record in self._topic(topic))
        contents: KafkaContents | None = self.parts.get("contents")
        if contents is not None:
            log.unshipped = sum(self._unlike(contents, topic) for topic in TOPICS)
        return log

    def _topic(self, topic: Topic) -> Iterator[Received]:
        for one in (self.watchgate, *self.others):
            yield from one.topic(topic)

    def _unlike(self, contents: KafkaContents, topic: Topic) -> int:
        """How many accounts have other records in Kafka than in the journals.

        Between two machines' journals there is no order.
        """
        there, here = firsts(contents.records(), topic), firsts(self._topic(topic), topic)
        form = set if self.others else list
        keys = here.keys() | there.keys()
        return sum(form(there.get(key, ())) != form(here.get(key, ())) for key in keys)

    def counted(self) -> dict[str, float]:
        """The three counters of coverage, and the gaps."""
        samples = self.watchgate.metrics()
        counts = {name: samples.total(f"exchanges_{name}_total") for name in COUNTERS}
        return counts | {"gaps": samples.total("coverage_gap_exchanges")}

    def effects(self, log: Recorded, before: Mapping[str, float], served_before: int) -> Effects:
        """What followed from the log, counters since `before`."""
        now = self.counted()
        return Effects(
            alerts=sum(alert["count"] for alert in self.watchgate.alerts()),
            gaps=now["gaps"],
            counted={name: now[name] - before[name] for name in COUNTERS},
            covered=served_in(log) - served_before,
        )

    def is_ready(self) -> bool:
        """Whether every process says that it is."""
        with suppress(OSError, ValueError):
            return bool(self.watchgate.ready()["ready"])
        return False

    def pid(self, role: str) -> int | None:
        """The process of a role, if it runs."""
        with suppress(ProcessLookupError, FileNotFoundError):
            return self.watchgate.pid(role)
        return None


def served_in(log: Recorded) -> int:
    """How many exchanges the log knows to have been served."""
    return sum(end.served is True for end in log.ends.values())
