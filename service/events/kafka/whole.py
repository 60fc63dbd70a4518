"""Reading a Kafka topic from its beginning to its end, beside all groups."""

import time
from collections.abc import Iterator

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from service.errors import EventLogError
from service.events.kafka.client import connect
from service.events.kafka.config import KafkaConfig
from service.events.kafka.partition import Partition
from service.events.log import Received, Topic


def read_whole(config: KafkaConfig, topic: Topic, timeout_s: float) -> Iterator[Received]:
    """Return the records that a topic holds, up to where it ended when this began.

    Raises:
        EventLogError: Kafka is away, or not all could be read in time.
    """
    name, deadline = config.topics[topic], time.monotonic() + timeout_s
    try:
        consumer = connect(
            KafkaConsumer,
            config,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )
        try:
            yield from _read(consumer, name, topic, deadline)
        finally:
            consumer.close(autocommit=False, timeout_ms=1000)
    except KafkaError as error:
        raise EventLogError(
            f"the topic {name} cannot be read from Kafka: {type(error).__name__}"
        ) from None


def _read(consumer: KafkaConsumer, name: str, topic: Topic, deadline: float) -> Iterator[Received]:
    owned = [TopicPartition(name, part) for part in consumer.partitions_for_topic(name) or ()]
    if not owned:
        raise EventLogError(f"Kafka has no topic {name}")
    consumer.assign(owned)
    consumer.seek_to_beginning(*owned)
    ends = consumer.end_offsets(owned)
    partitions = {tp: Partition(name, tp.partition, topic) for tp in owned}
    while any(consumer.position(tp) < end for tp, end in ends.items()):
        if time.monotonic() > deadline:
            raise EventLogError(f"the topic {name} could not be read to its end in time")
        for tp, messages in consumer.poll(500).items():
            for message in messages:
                found = partitions[tp].take(
                    message.offset, message.key, message.value, message.headers
                )
                if found is not None:
                    yield found
