"""What vLLM's /v1/chat/completions answers, and how sure the guard was of its label.

Form of the answer: OpenAI's chat completions, as vLLM 0.32 gives them. Its log-probabilities
cover every token that was generated, those of the reasoning before the answer included.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from detectors.judge.errors import Unparseable

TOP_LOGPROBS: Final = 10
"""Tokens asked for at each place; vLLM gives at most 20 unless it is told otherwise."""


class Top(msgspec.Struct):
    """A token that could have stood at a place."""

    token: str
    logprob: float


class Token(msgspec.Struct):
    """A token that was chosen, and its rivals."""

    token: str
    logprob: float = 0.0
    top_logprobs: list[Top] = []


class Logprobs(msgspec.Struct):
    """Of each token of an answer."""

    content: list[Token] | None = None


class Message(msgspec.Struct):
    """What the guard said; its reasoning is not read."""

    content: str | None = None


class Choice(msgspec.Struct):
    """One answer."""

    message: Message
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class ChatReply(msgspec.Struct):
    """The answer to a chat completion."""

    choices: list[Choice]


def read_chat(data: bytes) -> tuple[str, Sequence[Token]]:
    """Return what was said, and its tokens: none if they were not given.

    Raises:
        Unparseable: no chat completion, or one that did not end by itself.
    """
    try:
        reply = msgspec.json.decode(data, type=ChatReply)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Unparseable("the guard's answer is no chat completion") from None
    if len(reply.choices) != 1:
        raise Unparseable(f"{len(reply.choices)} choices came; one was expected")
    choice = reply.choices[0]
    if choice.finish_reason != "stop":
        raise Unparseable("the guard's answer did not end by itself: raise max_tokens")
    tokens = choice.logprobs.content if choice.logprobs else None
    return choice.message.content or "", tokens or []


def label_chances(
    said: str, place: int, tokens: Sequence[Token], labels: Sequence[str]
) -> Mapping[str, float] | None:
    """Return the chances of the labels at the place of `said` where one of them starts.

    They are those of the first token of each label, and add up to 1. None if the tokens do not
    tell: not given, not those of `said`, or no token of any label is among them.
    """
    found = dict.fromkeys(labels, 0.0)
    for token, logprob in _rivals(said, place, tokens):
        if label := _label_of(token, labels):
            found[label] += math.exp(min(logprob, 0.0))
    total = sum(found.values())
    return {label: chance / total for label, chance in found.items()} if total > 0 else None


def _rivals(said: str, place: int, tokens: Sequence[Token]) -> Iterator[tuple[str, float]]:
    """Yield the tokens that could have stood where `said[place]` does."""
    begins = "".join(token.token for token in tokens).rfind(said)  # reasoning comes before it
    at = begins + place
    start = 0
    for token in tokens if begins >= 0 else ():
        end = start + len(token.token)
        if start <= at < end:
            if not token.token[: at - start].strip():
                seen = {top.token: top.logprob for top in token.top_logprobs}
                yield from ({token.token: token.logprob} | seen).items()
            return
        start = end


def _label_of(token: str, labels: Sequence[str]) -> str | None:
    """Return the one label that a token begins, or is with a sign after it."""
    word = token.strip()
    fits = [it for it in labels if word and (it.startswith(word) or _begins(word, it))]
    return fits[0] if len(fits) == 1 else None


def _begins(word: str, label: str) -> bool:
    return word.startswith(label) and not word[len(label)].isalnum()
