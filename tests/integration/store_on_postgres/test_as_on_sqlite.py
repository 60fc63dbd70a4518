"""Stands for tests/unit/service/store: conftest.py collects those tests here."""
