"""Sends records to Kafka, so that none is ever passed by a later one of its key."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Final

from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError, UnknownError
from kafka.future import Future

from service.errors import ShipFailed
from service.events.kafka import wire
from service.events.kafka.client import connect, ensure_topics
from service.events.kafka.config import KafkaConfig
from service.events.log import Received

_NEVER_MS: Final = 2**31 - 1


class KafkaSink:
    """Ships batches of records. Used from one thread.

    **Why nothing is skipped.** A broker appends a batch of one partition whole or not at all,
    and the producer lingers until it is flushed, so a round of messages that fits in one batch
    is at most one batch for each partition. A round goes out only when each message of the
    round before it is acknowledged. After a failure nothing more is sent by this producer: it
    is closed, and the caller sends the same records again, from the first, through a new one.
    So whatever is appended of a record comes after all that preceded it in the journal, and
    repetitions are all that a failure costs. Memory holds one round, at most
    `max_message_bytes`, beside the records themselves.

    The producer is idempotent as well: its own retries repeat nothing, and when the broker
    finds a batch too large and the library halves it, the second half dies with the first.
    """

    def __init__(self, config: KafkaConfig, machine: str = "") -> None:
        """Remember where Kafka is, and whose records these are; the first `ship` connects."""
        self._config = config
        self._machine = machine
        self._producer: KafkaProducer | None = None

    def ship(self, records: Sequence[Received]) -> None:
        """Send the records and return once all replicas in sync have acknowledged each.

        Raises:
            ShipFailed: some may have been appended; send all of them again, in order.
        """
        try:
            for messages in self._rounds(records):
                self._send(self._connected(), messages)
        except Exception as error:  # noqa: BLE001 - whatever the library raises, nothing is lost
            self.close()
            raise ShipFailed(type(error).__name__) from None

    def close(self) -> None:
        """Let go of the connection and of whatever is unacknowledged. May be called twice.

        The library's own close() raises while messages wait and leaves its thread sending
        them, so that thread is stopped first.
        """
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(Exception):
                producer._sender.force_close()  # noqa: SLF001 - see above
                producer.close(timeout=0)

    def _rounds(self, records: Sequence[Received]) -> Iterator[list[wire.Message]]:
        return wire.rounds(records, self._config.max_message_bytes, self._machine)

    def _connected(self) -> KafkaProducer:
        if self._producer is None:
            ensure_topics(self._config)
            self._producer = _producer(self._config)
        return self._producer

    def _send(self, producer: KafkaProducer, messages: Sequence[wire.Message]) -> None:
        topics = self._config.topics
        futures = [
            producer.send(topics[message.topic], message.value, message.key, message.headers)
            for message in messages
        ]
        _await(producer, futures, time.monotonic() + self._config.attempt_timeout_s)
        for future in futures:
            if future.failed():
                raise future.exception


def _await(producer: KafkaProducer, futures: Sequence[Future], deadline: float) -> None:
    """Flush until every future is done: a batch that the library halves breaks off a flush."""
    while not all(future.is_done for future in futures):
        remaining_s = deadline - time.monotonic()
        if remaining_s <= 0:
            raise KafkaTimeoutError("a message was not acknowledged in time")
        with contextlib.suppress(UnknownError):
            producer.flush(remaining_s)


def _producer(config: KafkaConfig) -> KafkaProducer:
    attempt_timeout_ms = int(config.attempt_timeout_s * 1000)
    return connect(
        KafkaProducer,
        config,
        acks="all",
        enable_idempotence=True,
        max_in_flight_requests_per_connection=1,
        # Only flush() sends, so that a round is one batch for each partition.
        linger_ms=_NEVER_MS // 2,
        batch_size=2 * config.max_message_bytes,
        # An expired message would be skipped while the next one goes on.
        delivery_timeout_ms=_NEVER_MS,
        request_timeout_ms=attempt_timeout_ms,
        max_block_ms=attempt_timeout_ms,
        max_request_size=4 * config.max_message_bytes,
        allow_auto_create_topics=False,
        metrics_enabled=False,
    )
