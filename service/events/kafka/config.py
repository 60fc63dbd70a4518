"""What the Kafka event log needs to know."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from service.errors import ConfigError
from service.events.log import Topic

MIN_MESSAGE_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """How to reach the brokers, in the words of Kafka's own client settings."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


def _default_topics() -> Mapping[Topic, str]:
    return {topic: f"watchgate-{topic}" for topic in Topic}


@dataclass(frozen=True, slots=True)
class KafkaConfig:
    """Where Kafka is, and how its topics are made where they are missing."""

    bootstrap_servers: tuple[str, ...]
    """host:port of one broker or more."""
    security: KafkaSecurity = KafkaSecurity()
    client_id: str = "watchgate"
    topics: Mapping[Topic, str] = field(default_factory=_default_topics)
    """Kafka's name of each topic."""
    partitions: int = 12
    """Of a topic that is made here; the most readers that one group can use."""
    replication_factor: int = -1
    """Of a topic that is made here; -1: the brokers' default."""
    retention_s: float | None = 7 * 86_400.0
    """Of a topic that is made here; None: the brokers' default."""
    max_message_bytes: int = 1_000_000
    """What a broker takes at once. Larger records travel in parts. Kafka's default limit is
    1,048,588 bytes for a batch, so this leaves room."""
    connect_timeout_s: float = 2.0
    """How long a connection attempt may block."""
    attempt_timeout_s: float = 10.0
    """How long a broker may take to acknowledge a batch before all of it is sent again."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigError: the message starts with the field's name.
        """
        if not self.bootstrap_servers:
            raise ConfigError("bootstrap_servers: name at least one broker, as host:port")
        if missing := [topic.value for topic in Topic if topic not in self.topics]:
            raise ConfigError(f"topics: no Kafka topic for {', '.join(missing)}")
        if len(set(self.topics.values())) < len(self.topics):
            raise ConfigError("topics: two topics share a name, each needs its own")
        if self.partitions < 1:
            raise ConfigError(f"partitions: {self.partitions}, and at least 1 is needed")
        if self.max_message_bytes < MIN_MESSAGE_BYTES:
            raise ConfigError(
                f"max_message_bytes: {self.max_message_bytes}, at least {MIN_MESSAGE_BYTES}"
            )
