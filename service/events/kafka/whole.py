"""Reading a Kafka topic up to its end, beside all groups: nothing is joined or committed."""

import math
import time
from collections.abc import Iterator, Mapping
from typing import Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from service.errors import EventLogError
from service.events.kafka.client import connect, reading
from service.events.kafka.config import KafkaConfig
from service.events.kafka.partition import Partition
from service.events.log import Received, Topic

SKEW_S: Final = 300.0
"""How far the clocks of those who make records and of those who date messages may be apart."""
_SILENCE_S: Final = 60.0
_POLL_MS: Final = 500


def read_whole(
    config: KafkaConfig, topic: Topic, timeout_s: float = math.inf, *, since: float = 0.0
) -> Iterator[Received]:
    """Return the records that a topic holds, up to where it ended when this began.

    With `since`, in Unix seconds, what was sent well before that is passed over by the brokers;
    records that were made before it may still come, and those made since all do. Records of one
    key are in order, between partitions there is no order. What was sent twice comes twice.

    Raises:
        EventLogError: Kafka is away or falls silent, or not all could be read in time.
    """
    name, deadline = config.topics[topic], time.monotonic() + timeout_s
    try:
        consumer = connect(KafkaConsumer, config, group_id=None, **reading(config))
        try:
            owned = [TopicPartition(name, it) for it in consumer.partitions_for_topic(name) or ()]
            if not owned:
                raise EventLogError(f"Kafka has no topic {name}")
            consumer.assign(owned)
            ends = consumer.end_offsets(owned)
            _seek(consumer, ends, since)
            yield from _read(consumer, topic, ends, deadline)
        finally:
            consumer.close(autocommit=False, timeout_ms=1000)
    except KafkaError as error:
        raise EventLogError(
            f"the topic {name} cannot be read from Kafka: {type(error).__name__}"
        ) from None


def _seek(consumer: KafkaConsumer, ends: Mapping[TopicPartition, int], since: float) -> None:
    """Begin with the first message that was sent as late; a record is sent after it was made."""
    consumer.seek_to_beginning(*ends)
    if since <= SKEW_S:
        return
    found = consumer.offsets_for_times(dict.fromkeys(ends, int((since - SKEW_S) * 1000)))
    for partition, end in ends.items():
        first = found.get(partition)
        consumer.seek(partition, end if first is None else first.offset)


def _read(
    consumer: KafkaConsumer, topic: Topic, ends: Mapping[TopicPartition, int], deadline: float
) -> Iterator[Received]:
    name = next(iter(ends)).topic
    partitions = {tp: Partition(name, tp.partition, topic) for tp in ends}
    heard = time.monotonic()
    while _unfinished(consumer, ends):
        if time.monotonic() > min(deadline, heard + _SILENCE_S):
            raise EventLogError(f"the topic {name} could not be read to its end in time")
        for tp, messages in consumer.poll(_POLL_MS).items():
            for message in messages:
                if message.offset >= ends[tp]:
                    break
                found = partitions[tp].take(
                    message.offset, message.key, message.value, message.headers
                )
                if found is not None:
                    yield found
            heard = time.monotonic()  # only now: whoever reads may take long


def _unfinished(consumer: KafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    """Say whether there is more to read, and fetch no more of what is read to its end."""
    done = [tp for tp, end in ends.items() if consumer.position(tp) >= end]
    consumer.pause(*done)
    return len(done) < len(ends)
