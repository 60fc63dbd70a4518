"""The names that spans bear, all in one place: OpenTelemetry's for GenAI are still changing.

As of its semantic conventions 1.41 for GenAI and messaging, both in development:
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
MODEL: Final = "gen_ai.request.model"
STREAM: Final = "gen_ai.request.stream"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
ERROR: Final = "error.type"

MESSAGING_SYSTEM: Final = "messaging.system"
MESSAGING_OPERATION: Final = "messaging.operation.name"
MESSAGING_OPERATION_TYPE: Final = "messaging.operation.type"
MESSAGING_TOPIC: Final = "messaging.destination.name"
MESSAGING_GROUP: Final = "messaging.consumer.group.name"
PROCESS: Final = "process"
"""The type of the operation of handling a record."""

EXCHANGE: Final = "watchgate.exchange"
OUTCOME: Final = "watchgate.outcome"
PART: Final = "watchgate.part"
ACTION: Final = "watchgate.action"
POINTS: Final = "watchgate.points"
UNSCANNED: Final = "watchgate.unscanned"
DETECTOR: Final = "watchgate.detector"

VLLM: Final = "vllm"
KAFKA: Final = "kafka"
WATCHGATE: Final = "watchgate"
OPERATIONS: Final[Mapping[str, str]] = MappingProxyType(
    {"completions": "text_completion", "messages": "chat", "responses": "chat"}
)
"""What the conventions call the operation of a surface, where it is not the surface's own name."""
KNOWN_REASONS: Final = frozenset(
    {
        "abort", "completed", "content_filter", "end_turn", "error", "failed", "function_call",
        "incomplete", "length", "max_output_tokens", "max_tokens", "pause_turn", "refusal", "stop",
        "stop_sequence", "tool_calls", "tool_use",
    }
)  # fmt: skip
"""Why answers end. Whatever else an upstream says is told as `other`: it might say anything."""
