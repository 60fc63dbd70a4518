"""Detectors score texts. They know nothing of HTTP, Kafka or SQL."""
