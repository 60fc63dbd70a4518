"""Reads records from Kafka as one member of a consumer group."""

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from queue import SimpleQueue
from typing import Any, Final

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import KafkaError, RetriableError
from kafka.net.compat import KafkaNetClient
from kafka.structs import MemberState

from service.events.kafka.client import connect, ensure_topics, reading
from service.events.kafka.config import KafkaConfig
from service.events.kafka.partition import Partition
from service.events.log import Lag, Position, Received, Topic

_log = logging.getLogger(__name__)
_PAUSE_S: Final = 0.2
"""Between attempts to connect; each of them waits for the connection as well."""
_STEP_S: Final = 0.01
_JOIN_S: Final = 5.0


class KafkaReader:
    """An `EventReader` on Kafka topics. A position is (Kafka's topic name, partition, offset).

    Kafka may be away when the reader is made and at any time later: `poll` then returns nothing
    and `connected` is False. A position is committed only while this reader owns the partition
    and has read it since it got it, so one that was given to another reader is left to that
    one. An acknowledgement that Kafka does not take is kept and made again with the next
    `poll` or `commit`; if the process ends or the partition goes before, those records are
    read again.

    A message that is no envelope comes out as a record of kind "undecodable", its value as the
    body. `lag` counts a record that travels in parts by its parts.
    """

    def __init__(
        self,
        config: KafkaConfig,
        group: str,
        topics: Collection[Topic],
        *,
        max_records: int = 500,
        member: str | None = None,
    ) -> None:
        """Join nothing yet; the first `poll` connects. It returns at most `max_records`.

        `member` is a name that one process of the group has at a time, of letters, digits, `.`,
        `_` and `-`. A process that was killed is replaced at once by the next of its name;
        without one the group waits until the dead member's session has expired.
        """
        self._config = config
        self._group = group
        self._topics = {config.topics[topic]: topic for topic in topics}
        self._max_records = max_records
        self._member = member
        self._consumer: KafkaConsumer | None = None
        self._client: KafkaNetClient | None = None
        self._partitions: dict[TopicPartition, Partition] = {}
        self._rebalances = _Rebalances()
        self._lag: Mapping[Topic, int] = dict.fromkeys(topics, 0)
        self._closed = False

    @property
    def connected(self) -> bool:
        """There is a connection to a broker now."""
        client = self._client
        if client is None:
            return False
        return any(client.connected(broker.node_id) for broker in client.cluster.brokers())

    @property
    def abandoned(self) -> int:
        """Count the records, in partitions owned now, of which a part never came."""
        return sum(partition.abandoned for partition in self._partitions.values())

    def poll(self, timeout_s: float) -> Sequence[Received]:
        """Return the next records, at least one unless `timeout_s` passes first.

        It may take `connect_timeout_s` longer to find out that Kafka is away, and up to five
        seconds while the group shares its partitions out: the library throws away an
        answer to its wish to join that comes while nobody polls, and wishes again.
        """
        start = time.monotonic()
        deadline, join_deadline = start + timeout_s, start + max(timeout_s, _JOIN_S)
        while True:
            received = self._poll_once(max(_STEP_S, deadline - time.monotonic()))
            end = join_deadline if self._is_joining() else deadline
            if received or time.monotonic() >= end:
                return received

    def commit(self, positions: Iterable[Position]) -> None:
        """Acknowledge everything at or before these positions, as soon as Kafka takes it."""
        self._forget_what_was_taken_away()
        for log, part, offset in positions:
            partition = self._partitions.get(TopicPartition(log, part))
            if partition is not None:
                partition.acknowledge(offset)
        self._commit_acknowledged()

    def lag(self) -> Lag:
        """Count the messages in the partitions owned now that `poll` has not yet reached.

        While Kafka is away, the last count.
        """
        if self._consumer is not None and self.connected:
            with contextlib.suppress(KafkaError):
                self._lag = self._count(self._consumer)
        return Lag(self._lag)

    def close(self) -> None:
        """Leave the group without committing more. May be called twice."""
        self._closed = True
        self._drop()

    def _poll_once(self, timeout_s: float) -> list[Received]:
        try:
            consumer = self._consumer or self._join()
            fetched = consumer.poll(int(timeout_s * 1000), self._max_records)
        except KafkaError as error:
            self._recover(error, timeout_s)
            return []
        self._forget_what_was_taken_away()
        received = [one for tp, batch in fetched.items() for one in self._take(tp, batch)]
        self._commit_acknowledged()
        return received

    def _is_joining(self) -> bool:
        if self._consumer is None or not self.connected:
            return False
        return self._consumer.group_metadata().state is not MemberState.STABLE

    def _take(self, tp: TopicPartition, batch: Iterable[Any]) -> list[Received]:
        topic = self._topics[tp.topic]
        partition = self._partitions.get(tp)
        if partition is None:
            partition = self._partitions[tp] = Partition(tp.topic, tp.partition, topic)
        taken = (
            partition.take(message.offset, message.key, message.value, message.headers)
            for message in batch
        )
        return [one for one in taken if one is not None]

    def _forget_what_was_taken_away(self) -> None:
        for owned in self._rebalances.take():
            self._partitions = {tp: one for tp, one in self._partitions.items() if tp in owned}

    def _commit_acknowledged(self) -> None:
        due = {tp: at for tp, one in self._partitions.items() if (at := one.due()) is not None}
        if not due or self._consumer is None or not self.connected:
            return
        offsets = {tp: OffsetAndMetadata(at, "", -1) for tp, at in due.items()}
        try:
            self._consumer.commit(offsets, timeout_ms=int(self._config.connect_timeout_s * 1000))
        except KafkaError as error:
            # A rebalance or an outage: kept, and made again while the partitions are ours.
            _log.info("group %s could not commit: %s", self._group, type(error).__name__)
            return
        for tp, at in due.items():
            self._partitions[tp].committed = at

    def _count(self, consumer: KafkaConsumer) -> Mapping[Topic, int]:
        timeout_ms = int(self._config.connect_timeout_s * 1000)
        owned = list(consumer.assignment())
        counts = Counter(dict.fromkeys(self._topics.values(), 0))
        for tp, end in consumer.end_offsets(owned, timeout_ms).items() if owned else ():
            position = consumer.position(tp, timeout_ms)
            counts[self._topics[tp.topic]] += max(0, end - (position or 0))
        return counts

    def _join(self) -> KafkaConsumer:
        if self._closed:
            raise ValueError("this reader is closed")
        ensure_topics(self._config)
        self._consumer = _consumer(self._config, self._group, self._member)
        self._client = self._consumer._client  # noqa: SLF001 - nothing public tells
        self._consumer.subscribe(list(self._topics), listener=self._rebalances)
        return self._consumer

    def _recover(self, error: KafkaError, timeout_s: float) -> None:
        """Wait a moment; start over unless the library can go on by itself."""
        _log.info("group %s cannot read: %s", self._group, type(error).__name__)
        if not isinstance(error, RetriableError):
            self._drop()
        time.sleep(min(timeout_s, _PAUSE_S))

    def _drop(self) -> None:
        consumer, self._consumer, self._client = self._consumer, None, None
        self._partitions.clear()
        if consumer is not None:
            with contextlib.suppress(Exception):
                consumer.close(autocommit=False, timeout_ms=1000)


class _Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    """Collects what was left to us after each rebalance. The library's I/O thread calls it.

    The library says "revoked" of every partition before a rebalance, and then goes on where it
    was in those that it gets back, so what we know of them stays true.
    """

    def __init__(self) -> None:
        self._owned: SimpleQueue[frozenset[TopicPartition]] = SimpleQueue()

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        pass

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._owned.put(frozenset(assigned))

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:  # noqa: ARG002 - all are
        self._owned.put(frozenset())

    def take(self) -> Iterator[frozenset[TopicPartition]]:
        while not self._owned.empty():
            yield self._owned.get()


def _consumer(config: KafkaConfig, group: str, member: str | None) -> KafkaConsumer:
    return connect(
        KafkaConsumer,
        config,
        group_id=group,
        group_instance_id=member,
        # The cooperative assignor does not converge in this library.
        partition_assignment_strategy=[RangePartitionAssignor],
        # A reader without a name that was killed holds up its group for so long.
        session_timeout_ms=10_000,
        heartbeat_interval_ms=3_000,
        # Topics may be made, or get more partitions, after the reader started.
        metadata_max_age_ms=10_000,
        **reading(config),
    )
