"""The workers: they read the event log, and have effects."""
