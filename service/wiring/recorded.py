"""The recorded stream of exchanges: of this machine, or of all machines from Kafka."""

from collections.abc import Iterator
from typing import NamedTuple

from service.core.backtest import Source
from service.errors import BadRecord, WatchgateError
from service.events.journal import read_topic
from service.events.kafka.whole import read_whole
from service.events.log import Received, Topic
from service.events.schema import made_at
from service.settings import KafkaLog, Settings
from service.wiring.parts import journal_root, kafka_config


class Stretch(NamedTuple):
    """Of the recorded stream, in Unix seconds; from `since` on, before `until`."""

    since: float
    until: float
    source: Source | None = None
    """None: Kafka where the settings have it, which holds what all machines recorded."""


def records(settings: Settings, stretch: Stretch) -> Iterator[Received]:
    """Yield the records of exchanges of a stretch, those of one exchange in order.

    Raises:
        WatchgateError: they are to come from Kafka, and the settings have none, or it is away.
    """
    for received in _stream(settings, stretch):
        try:
            at = made_at(received.record)
        except BadRecord:
            continue
        if stretch.since <= at < stretch.until:
            yield received


def _stream(settings: Settings, stretch: Stretch) -> Iterator[Received]:
    """Read one of the two sources; what lies outside the stretch may come, too."""
    log = settings.event_log
    if stretch.source is Source.KAFKA and not isinstance(log, KafkaLog):
        raise WatchgateError("--source kafka needs event_log.kind: kafka in the settings")
    if stretch.source is Source.JOURNAL or not isinstance(log, KafkaLog):
        return read_topic(journal_root(settings), Topic.EXCHANGES)
    return read_whole(kafka_config(log), Topic.EXCHANGES, since=stretch.since)
