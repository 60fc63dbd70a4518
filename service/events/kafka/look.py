"""Which topics Kafka has, for who wants to know without making any."""

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from service.errors import EventLogError
from service.events.kafka.client import connect
from service.events.kafka.config import KafkaConfig


def topics_of(config: KafkaConfig) -> frozenset[str]:
    """Return the names of all topics that we may see.

    Raises:
        EventLogError: no broker answered in `connect_timeout_s`, or it refuses us.
    """
    try:
        admin = connect(KafkaAdminClient, config)
        try:
            return frozenset(admin.list_topics())
        finally:
            admin.close()
    except KafkaError as error:
        raise EventLogError(f"Kafka does not answer: {type(error).__name__}") from None
