"""Connections to Kafka: the client library's settings, and ways around its traps."""

import logging
from collections.abc import Callable
from typing import Any, Final, TypeVar

from kafka import KafkaAdminClient
from kafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)
from kafka.net.compat import KafkaNetClient

from service.events.kafka.config import KafkaConfig, KafkaSecurity
from service.events.kafka.quiet import quieten

_log = logging.getLogger(__name__)
_FETCH_BYTES: Final = 8 * 2**20
"""What one answer of a broker may hold, which bounds a reader's memory."""
_TOLERATED: Final = (
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    ClusterAuthorizationFailedError,
)

T = TypeVar("T")


def connect(kind: Callable[..., T], config: KafkaConfig, **settings: Any) -> T:  # noqa: ANN401
    """Make a consumer, producer or admin client, waiting at most `connect_timeout_s`.

    A constructor of the library that fails leaves its I/O thread running for good, and the
    only way to its connections is to have made them.

    Raises:
        KafkaError: no broker answered in time.
    """
    quieten()
    opened: list[KafkaNetClient] = []

    def open_client(**client_settings: Any) -> KafkaNetClient:  # noqa: ANN401
        opened.append(KafkaNetClient(**client_settings))
        return opened[-1]

    try:
        return kind(kafka_client=open_client, **_common(config), **settings)
    except BaseException:
        for client in opened:
            client.close()
        raise


def reading(config: KafkaConfig) -> dict[str, Any]:
    """Return the settings of whoever reads: nothing is committed or made by itself."""
    return {
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "request_timeout_ms": int(config.attempt_timeout_s * 1000),
        "fetch_max_bytes": _FETCH_BYTES,
        "max_partition_fetch_bytes": max(2**20, 2 * config.max_message_bytes),
        "allow_auto_create_topics": False,
        "metrics_enabled": False,
    }


def ensure_topics(config: KafkaConfig) -> None:
    """Make the topics that are missing, if we may; those that are there stay as they are.

    Raises:
        KafkaError: no broker answered, or it refuses the topic as it is configured.
    """
    admin = connect(KafkaAdminClient, config)
    try:
        missing = set(config.topics.values()) - set(admin.list_topics())
        if missing:
            answer = admin.create_topics(
                {name: _topic_options(config) for name in sorted(missing)}, raise_errors=False
            )
            for topic in answer["topics"]:
                _judge(topic["name"], topic["error_code"])
    finally:
        admin.close()


def _topic_options(config: KafkaConfig) -> dict[str, Any]:
    configs = {"max.message.bytes": str(config.max_message_bytes)}
    if config.retention_s is not None:
        configs["retention.ms"] = str(int(config.retention_s * 1000))
    return {
        "num_partitions": config.partitions,
        "replication_factor": config.replication_factor,
        "configs": configs,
    }


def _judge(name: str, error_code: int) -> None:
    if error_code == 0:
        return
    error: type[KafkaError] = for_code(error_code)
    if not issubclass(error, _TOLERATED):
        raise error(f"topic {name} was not created")
    if error is not TopicAlreadyExistsError:
        _log.warning("topic %s is missing and may not be created from here", name)


def _common(config: KafkaConfig) -> dict[str, Any]:
    return {
        "bootstrap_servers": list(config.bootstrap_servers),
        "client_id": config.client_id,
        "bootstrap_timeout_ms": int(config.connect_timeout_s * 1000),
        # Back soon after an outage; the library's own bound is 30 s.
        "reconnect_backoff_max_ms": 1000,
        **_security(config.security),
    }


def _security(security: KafkaSecurity) -> dict[str, Any]:
    settings = {
        "security_protocol": security.protocol,
        "sasl_mechanism": security.sasl_mechanism,
        "sasl_plain_username": security.username,
        "sasl_plain_password": security.password,
        "ssl_cafile": security.ca_file,
        "ssl_certfile": security.cert_file,
        "ssl_keyfile": security.key_file,
    }
    return {name: value for name, value in settings.items() if value is not None}
