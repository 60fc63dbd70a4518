"""Fixtures for every test: real parts that are started once for the whole run."""

from hypothesis import settings

from tests.real_parts.postgres import empty_store_url, postgres
from tests.real_parts.vllm import real_vllm

__all__ = ["empty_store_url", "postgres", "real_vllm"]

# Hypothesis would fail an example that takes 0.2 s, as any does on a busy machine.
settings.register_profile("house", deadline=None)
settings.load_profile("house")
