"""Stands for tests/integration/console: conftest.py collects those tests here."""
