"""Stands for tests/unit/service/console: conftest.py collects those tests here."""
