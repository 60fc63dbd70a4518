"""Reading an OpenAI-shaped answer as it passes: its text, its usage, how it ended."""

from typing import Final

import msgspec


class Usage(msgspec.Struct):
    """Token counts, as vLLM gives them."""

    prompt_tokens: int = 0
    completion_tokens: int | None = None


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    function: _Function | None = None


class _Message(msgspec.Struct):
    """A message, or the part of one that an event carries."""

    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Message | None = None
    message: _Message | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Body(msgspec.Struct):
    choices: list[_Choice] = []
    usage: Usage | None = None
    error: object = None


class Choice(msgspec.Struct, omit_defaults=True):
    """One choice of an answer, as it is recorded."""

    index: int
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: str = ""
    """Names and arguments, as they came."""
    finish_reason: str | None = None


class Answer(msgspec.Struct):
    """What is recorded of an answer: its choices."""

    choices: list[Choice]


_body_decoder: Final = msgspec.json.Decoder(_Body)
_answer_decoder: Final = msgspec.json.Decoder(Answer)
_encoder: Final = msgspec.json.Encoder()


class AnswerReader:
    """Gathers an answer, from events of a stream or from one body."""

    __slots__ = ("_parts", "broke", "finish_reasons", "usage")

    def __init__(self) -> None:
        """Nothing read yet."""
        self._parts: dict[tuple[int, str], list[str]] = {}
        self.finish_reasons: dict[int, str] = {}
        self.usage: Usage | None = None
        self.broke = False
        """The upstream said, in the answer, that it failed."""

    def read(self, data: bytes) -> bool:
        """Read a body or an event's data; say whether it is a stream's chunk of usage alone.

        Raises:
            msgspec.MsgspecError, UnicodeDecodeError: it is not of the API's shape.
        """
        body = _body_decoder.decode(data)
        if body.error is not None:
            self.broke = True
        if body.usage is not None:
            self.usage = body.usage
        for choice in body.choices:
            self._read_choice(choice)
        return not body.choices and body.usage is not None

    def _read_choice(self, choice: _Choice) -> None:
        index = choice.index
        if choice.text:
            self._add(index, "text", choice.text)
        message = choice.delta or choice.message
        if message is not None:
            if message.content:
                self._add(index, "text", message.content)
            self._read_rest(index, message)
        if choice.finish_reason is not None:
            self.finish_reasons[index] = choice.finish_reason

    def _read_rest(self, index: int, message: _Message) -> None:
        reasoning = message.reasoning or message.reasoning_content
        if reasoning:
            self._add(index, "reasoning", reasoning)
        if message.refusal:
            self._add(index, "refusal", message.refusal)
        for call in message.tool_calls or ():
            if call.function is not None:
                name, arguments = call.function.name, call.function.arguments
                self._add(index, "tool_calls", f"\n{name} " if name else "")
                self._add(index, "tool_calls", arguments or "")

    def _add(self, index: int, part: str, text: str) -> None:
        self._parts.setdefault((index, part), []).append(text)

    def content(self) -> bytes:
        """Return what was gathered, as an `Answer` in JSON."""
        indices = {index for index, _ in self._parts} | set(self.finish_reasons)
        choices = [
            Choice(
                index=index,
                text=self._text(index, "text"),
                reasoning=self._text(index, "reasoning"),
                refusal=self._text(index, "refusal"),
                tool_calls=self._text(index, "tool_calls"),
                finish_reason=self.finish_reasons.get(index),
            )
            for index in sorted(indices)
        ]
        return _encoder.encode(Answer(choices))

    def _text(self, index: int, part: str) -> str:
        return "".join(self._parts.get((index, part), ()))


def answer_text(content: bytes) -> str:
    """Return all text of a recorded answer: every choice, reasoning and tool calls included.

    Raises:
        msgspec.MsgspecError: it is no recorded answer.
    """
    answer = _answer_decoder.decode(content)
    texts = (
        text for c in answer.choices for text in (c.reasoning, c.text, c.refusal, c.tool_calls)
    )
    return "\n".join(text for text in texts if text)
