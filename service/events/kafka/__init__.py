"""The event log over Kafka: `KafkaSink` for the shipper, `KafkaReader` for the workers.

Only `client`, `sink` and `reader` import the Kafka client library. `wire`, `joiner` and
`partition` are pure. docs/kafka.md says what is on the topics and what is promised.
"""
