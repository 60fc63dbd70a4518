"""How many tokens a request may take at the most."""


def tokens_bound(
    prompt_bytes: int, max_tokens: int | None, choices: int, context_tokens: int | None
) -> int:
    """Return an upper bound of a request's tokens, prompt and answers together.

    A token is at least one byte, so `prompt_bytes` bounds the prompt. Without `max_tokens` each of
    the `choices` may fill the model's context of `context_tokens`. Where the context is known,
    prompt and answer of one choice never take more than it holds. Without a choice, as for
    embeddings, there may be any number of prompts: their bytes alone bound them.

    Raises:
        ValueError: neither `max_tokens` nor `context_tokens` is known: there is no bound.
    """
    longest = context_tokens if max_tokens is None else max_tokens
    if longest is None:
        raise ValueError("without max_tokens and a known context there is no bound")
    bound = prompt_bytes + longest * choices
    if context_tokens is None or not choices:
        return bound
    return min(bound, context_tokens * choices)
