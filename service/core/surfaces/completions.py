"""POST /v1/completions."""

from typing import Final

import msgspec

from service.core.surfaces.errors import OPENAI_ERRORS
from service.core.surfaces.openai_answers import (
    OpenAIAnswerReader,
    cut_completions_stream,
    cut_completions_whole,
)
from service.core.surfaces.shape import Fields, Surface
from service.core.unreadable import UNREADABLE
from service.errors import InvalidRequest

MAX_PROMPTS: Final = 128
"""How many prompts one request may bring: each takes as many answers as are asked for."""

_prompt_decoder: Final = msgspec.json.Decoder(str | list[str])


def _check_prompt(fields: Fields) -> None:
    """Refuse prompts that cannot be read: token ids above all."""
    if "prompt" not in fields:
        raise InvalidRequest("The field 'prompt' is missing.", param="prompt")
    try:
        prompts = _prompt_decoder.decode(fields["prompt"])
    except UNREADABLE:
        raise InvalidRequest(
            "The field 'prompt' must be a string or a list of strings; token ids are not accepted.",
            param="prompt",
        ) from None
    if isinstance(prompts, list) and len(prompts) > MAX_PROMPTS:
        raise InvalidRequest(f"There may be at most {MAX_PROMPTS} prompts.", param="prompt")


COMPLETIONS: Final = Surface(
    name="completions",
    path="/v1/completions",
    parameters=frozenset(
        {
            "best_of",
            "echo",
            "frequency_penalty",
            "length_penalty",
            "logit_bias",
            "logprobs",
            "max_tokens",
            "metadata",
            "min_p",
            "min_tokens",
            "model",
            "n",
            "presence_penalty",
            "prompt",
            "repetition_penalty",
            "response_format",
            "safety_identifier",
            "seed",
            "stop",
            "stop_token_ids",
            "stream",
            "stream_options",
            "suffix",
            "temperature",
            "top_k",
            "top_p",
            "user",
        }
    ),
    prompt_fields=("prompt", "suffix", "response_format"),
    check_prompt=_check_prompt,
    answer_reader=OpenAIAnswerReader,
    cut_stream=cut_completions_stream,
    cut_whole=cut_completions_whole,
    errors=OPENAI_ERRORS,
    asks_for_usage=True,
    max_tokens_fields=("max_tokens",),
    max_tokens_default=16,  # https://docs.vllm.ai: as in OpenAI's API
)
