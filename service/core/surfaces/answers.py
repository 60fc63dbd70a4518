"""What all surfaces' answers have in common: pieces of text, usage, how an answer is recorded."""

from collections.abc import Collection, Iterator
from typing import Any, Final, Literal, Protocol

import msgspec

PartName = Literal["text", "reasoning", "refusal", "tool_calls"]


class Piece(msgspec.Struct, frozen=True, gc=False):
    """Generated text that an event, or a whole body, adds to an answer."""

    choice: int
    part: PartName
    text: str
    call: int = -1
    """Which of the choice's tool calls the text is of; -1: of none."""


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a stream stands after an event: what ending it there takes."""

    begun: bool = False
    """An event that tells of the answer has come."""
    unended: tuple[int, ...] = ()
    """Choices (blocks of content, where the API has those) that have begun and not ended."""
    sequence: int = 0
    """The number of the next event, where the API counts them."""


START: Final = Place()


class Usage(msgspec.Struct):
    """Token counts, under the names that vLLM gives them in chat and completions."""

    prompt_tokens: int = 0
    completion_tokens: int | None = None


class Choice(msgspec.Struct, omit_defaults=True):
    """One choice of an answer, as it is recorded."""

    index: int
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: str = ""
    """Names and arguments, as they came; those of one call stand together."""
    finish_reason: str | None = None


class Answer(msgspec.Struct):
    """What is recorded of an answer: its choices."""

    choices: list[Choice]


class AnswerReader(Protocol):
    """Reads an answer as it passes, from the events of a stream or from one body."""

    pieces: tuple[Piece, ...]
    """What the last `read` has added, in order. Whatever generated text reaches the caller is in
    some piece before, or with, the event that brings it; what repeats it is not in one again."""
    place: Place
    """Where the stream stands after the last `read`."""
    first: bytes | None
    """The data of the first event, or the body."""
    ended: bool
    """What was read last is the end of the stream (of those that end with `[DONE]` it never is)."""
    broke: bool
    """The upstream said, in the answer, that it failed."""
    usage: Usage | None
    finish_reasons: dict[int, str]

    @property
    def finished(self) -> Collection[int]:
        """The choices that have ended."""

    def read(self, data: bytes) -> bool:
        """Read a body or an event's data; say whether it is a stream's chunk of usage alone.

        Raises:
            msgspec.MsgspecError, UnicodeDecodeError, RecursionError: it is not of the API's shape.
        """

    def read_refusal(self, body: bytes) -> None:
        """Read the body of an error that the upstream answers with: whatever is in it is text.

        It may quote the model: vLLM's /v1/messages quotes a call's input that is no object.
        """

    def content(self) -> bytes:
        """Return what was gathered, as an `Answer` in JSON."""


class Gatherer:
    """Keeps what a reader has read; readers are made of it."""

    __slots__ = (
        "_parts", "broke", "ended", "finish_reasons", "first", "pieces", "place", "usage",
    )  # fmt: skip

    def __init__(self) -> None:
        """Nothing read yet."""
        self._parts: dict[tuple[int, PartName, int], list[str]] = {}
        self.pieces: tuple[Piece, ...] = ()
        self.place = START
        self.first: bytes | None = None
        self.ended = False
        self.broke = False
        self.usage: Usage | None = None
        self.finish_reasons: dict[int, str] = {}

    @property
    def finished(self) -> Collection[int]:
        """The choices that have ended."""
        return self.finish_reasons.keys()

    def read_refusal(self, body: bytes) -> None:
        """Read the body of an error that the upstream answers with: whatever is in it is text."""
        self._begin(body)
        try:
            text = "\n".join(text for _, text in texts_below(msgspec.json.decode(body)))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            text = body.decode(errors="replace")
        self._add(0, "text", text)

    def _begin(self, data: bytes) -> None:
        self.pieces = ()
        if self.first is None:
            self.first = data

    def _add(self, choice: int, part: PartName, text: str, call: int = -1) -> None:
        if text:
            self.pieces += (Piece(choice, part, text, call),)
            self._parts.setdefault((choice, part, call), []).append(text)

    def _add_call(self, choice: int, name: str | None, arguments: str | None, call: int) -> None:
        """Add a tool call's name, with what sets it apart in the record, and its arguments."""
        if name:
            self._add(choice, "tool_calls", f"\n{name} ", call)
        self._add(choice, "tool_calls", arguments or "", call)

    def content(self) -> bytes:
        """Return what was gathered, as an `Answer` in JSON."""
        found: dict[int, dict[str, list[str]]] = {index: {} for index in self.finish_reasons}
        for (index, part, _), texts in self._parts.items():
            found.setdefault(index, {}).setdefault(part, []).extend(texts)
        choices = [
            Choice(
                index=index,
                finish_reason=self.finish_reasons.get(index),
                **{part: "".join(texts) for part, texts in found[index].items()},
            )
            for index in sorted(found)
        ]
        return _encoder.encode(Answer(choices))


class NoTextReader(Gatherer):
    """Reads answers that hold no text: their usage alone."""

    __slots__ = ()

    def read(self, data: bytes) -> bool:
        """Read a body; it is never a chunk of usage.

        Raises:
            msgspec.MsgspecError, UnicodeDecodeError: it is no JSON object.
        """
        self._begin(data)
        body = _no_text_decoder.decode(data)
        self.broke = body.error is not None
        self.usage = body.usage or Usage(body.input_tokens)
        return False


class _NoText(msgspec.Struct):
    usage: Usage | None = None
    input_tokens: int = 0
    error: object = None


def texts_below(root: object, ignored: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """Yield the texts below a JSON value in order, with the names of their fields.

    What is in fields of the ignored names is left out.
    """
    stack: list[tuple[str, object]] = [("", root)]
    while stack:
        name, value = stack.pop()
        if isinstance(value, str):
            yield name, value
        elif isinstance(value, list):
            stack.extend((name, inner) for inner in reversed(value))
        elif isinstance(value, dict):
            stack.extend((key, value[key]) for key in reversed(value) if key not in ignored)


def sift(value: Any, kind: type[msgspec.Struct], nested: "Nested") -> Iterator[str]:  # noqa: ANN401  (whatever JSON holds)
    """Take from JSON objects what their struct does not know, and yield the texts in it.

    `nested` tells which fields of which struct hold structs, or lists of them.
    """
    if isinstance(value, list):
        for inner in value:
            yield from sift(inner, kind, nested)
    if not isinstance(value, dict):
        return
    for name in [name for name in value if name not in kind.__struct_encode_fields__]:
        yield from (text for _, text in texts_below(value.pop(name)))
    for name, inner_kind in nested.get(kind, {}).items():
        yield from sift(value.get(name), inner_kind, nested)


Nested = dict[type[msgspec.Struct], dict[str, type[msgspec.Struct]]]

_no_text_decoder: Final = msgspec.json.Decoder(_NoText)
_answer_decoder: Final = msgspec.json.Decoder(Answer)
_encoder: Final = msgspec.json.Encoder()


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
