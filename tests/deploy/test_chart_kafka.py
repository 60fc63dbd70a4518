"""Strimzi's topics and user are those that the processes use, with the rights that they need."""

import json

from tests.real_parts.helm import given, of_kind, rendered, settings

OBJECTS = rendered(given("production"))
EVENT_LOG = json.loads(settings(OBJECTS, "gateway"))["event_log"]


def test_every_topic_of_the_settings_is_made_as_the_settings_say() -> None:
    topics = of_kind(OBJECTS, "KafkaTopic")
    assert {it["spec"]["topicName"] for it in topics} == set(EVENT_LOG["topics"].values())
    for topic in topics:
        assert topic["metadata"]["namespace"] == "kafka"
        assert topic["metadata"]["labels"]["strimzi.io/cluster"] == "main"
        assert topic["spec"]["partitions"] == EVENT_LOG["partitions"] == 24
        assert topic["spec"]["replicas"] == 3
        assert topic["spec"]["config"] == {
            "retention.ms": EVENT_LOG["retention_s"] * 1000,
            "max.message.bytes": EVENT_LOG["max_message_bytes"],
            "min.insync.replicas": 2,
        }


def test_the_user_may_do_what_docs_kafka_says_and_no_more() -> None:
    [user] = of_kind(OBJECTS, "KafkaUser")
    assert user["metadata"]["name"] == EVENT_LOG["security"]["username"]
    acls = user["spec"]["authorization"]["acls"]
    topics = {it["resource"]["name"]: it for it in acls if it["resource"]["type"] == "topic"}
    assert topics.keys() == set(EVENT_LOG["topics"].values())
    for it in topics.values():
        assert it["resource"]["patternType"] == "literal"
        assert it["operations"] == ["Describe", "Read", "Write"]
    [group] = [it for it in acls if it["resource"]["type"] == "group"]
    assert group == {
        "resource": {"type": "group", "name": "watchgate-", "patternType": "prefix"},
        "operations": ["Describe", "Read"],
    }
