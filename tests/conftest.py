"""Fixtures for every test: real parts that are started once for the whole run."""

from tests.real_parts.vllm import real_vllm

__all__ = ["real_vllm"]
