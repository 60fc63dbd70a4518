import pytest

from service.errors import ConfigError
from service.events.kafka.config import KafkaConfig, KafkaSecurity
from service.events.log import Topic


def test_every_topic_has_a_name_of_its_own_by_default() -> None:
    topics = KafkaConfig(("localhost:9092",)).topics

    assert set(topics) == set(Topic)
    assert topics[Topic.DEAD_LETTERS] == "watchgate-dead-letters"


def test_a_password_is_not_shown() -> None:
    assert "hunter2" not in repr(KafkaSecurity(username="u", password="hunter2"))


@pytest.mark.parametrize(
    ("field", "settings"),
    [
        ("bootstrap_servers", {"bootstrap_servers": ()}),
        ("topics", {"topics": {Topic.EXCHANGES: "x"}}),
        ("topics", {"topics": dict.fromkeys(Topic, "x")}),
        ("partitions", {"partitions": 0}),
        ("max_message_bytes", {"max_message_bytes": 100}),
    ],
)
def test_what_cannot_work_is_refused_by_the_name_of_its_field(
    field: str, settings: dict[str, object]
) -> None:
    with pytest.raises(ConfigError, match=f"^{field}: "):
        KafkaConfig(**{"bootstrap_servers": ("localhost:9092",), **settings})  # type: ignore[arg-type]
