"""The official SDKs, as callers of a running installation in front of the real vLLM."""

from dataclasses import dataclass
from typing import Final

from anthropic import Anthropic
from openai import AsyncOpenAI, OpenAI

from tests.real_parts.kafka_broker import wait_until
from tests.real_parts.vllm import running_requests
from tests.real_parts.watchgate import Watchgate

MODEL: Final = "smollm2"
WRONG_KEY: Final = "sk-wg-wrong"
ANSWER_S: Final = 120.0
CANCEL_S: Final = 10.0
"""What the tests cancel would take longer."""


@dataclass(frozen=True, slots=True)
class Watched:
    """An installation, a key of it, and the vLLM behind."""

    watchgate: Watchgate
    key: str
    vllm: str

    def openai(self, key: str | None = None) -> OpenAI:
        """Return OpenAI's SDK, which tries nothing twice."""
        return OpenAI(
            base_url=f"{self.watchgate.url}/v1",
            api_key=key or self.key,
            max_retries=0,
            timeout=ANSWER_S,
        )

    def openai_async(self) -> AsyncOpenAI:
        """Return the same for asyncio."""
        return AsyncOpenAI(
            base_url=f"{self.watchgate.url}/v1", api_key=self.key, max_retries=0, timeout=ANSWER_S
        )

    def anthropic(self, key: str | None = None) -> Anthropic:
        """Return Anthropic's SDK, which sends the key as `x-api-key`."""
        return Anthropic(
            base_url=self.watchgate.url, api_key=key or self.key, max_retries=0, timeout=ANSWER_S
        )

    def anthropic_by_bearer(self) -> Anthropic:
        """Return the same with the key as `Authorization: Bearer`."""
        return Anthropic(
            base_url=self.watchgate.url, auth_token=self.key, max_retries=0, timeout=ANSWER_S
        )

    def works(self) -> bool:
        """Say whether vLLM works on a request now."""
        return running_requests(self.vllm) > 0

    def wait_until_idle(self) -> None:
        """Return once vLLM works on nothing; fail if that takes as long as an answer would."""
        wait_until(lambda: not self.works(), CANCEL_S, "vLLM works on nothing")
