"""What all surfaces' answers have in common: pieces of text, usage, how an answer is recorded."""

import re
from collections.abc import Collection, Iterator
from typing import Any, Final, Literal, Protocol

import msgspec

from service.core.surfaces.escapes import readings
from service.core.unreadable import UNREADABLE

PartName = Literal["text", "reasoning", "refusal", "tool_calls", "tokens", "alternatives", "other"]
SIDES: Final[frozenset[PartName]] = frozenset({"tokens", "alternatives", "other"})
"""Parts that stand beside what the model says, each a text of its own: the tokens of log
probabilities, the tokens that might have been, and texts in fields that nobody told us of."""


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

    @property
    def deltas(self) -> int:
        """How many pieces of text have come: a stream's tokens are as many or more."""

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

    @property
    def deltas(self) -> int:
        """How many pieces of text have come."""
        return sum(len(texts) for texts in self._parts.values())

    def read_refusal(self, body: bytes) -> None:
        """Read the body of an error that the upstream answers with: whatever is in it is text."""
        self._begin(body)
        try:
            text = "\n".join(text for _, text in texts_below(msgspec.json.decode(body)))
        except UNREADABLE:
            text = body.decode(errors="replace")
        self._add(0, "text", text)

    def _begin(self, data: bytes) -> None:
        self.pieces = ()
        if self.first is None:
            self.first = data

    def _add(self, choice: int, part: PartName, text: str, call: int = -1) -> None:
        if text:
            self.pieces += (Piece(choice, part, text, call),)
            key = (choice, part, call)
            if (texts := self._parts.get(key)) is None:
                texts = self._parts[key] = []
            texts.append(text)

    def _add_id(self, choice: int, identifier: str | None, call: int) -> None:
        if identifier and not is_made_up(identifier):
            self._add(choice, "tool_calls", f"\n{identifier}", call)

    def _add_call(self, choice: int, name: str | None, arguments: str | None, call: int) -> None:
        """Add a tool call's name, with what sets it apart in the record, and its arguments."""
        if name:
            self._add(choice, "tool_calls", f"\n{name} ", call)
        self._add(choice, "tool_calls", arguments or "", call)

    def content(self) -> bytes:
        """Return what was gathered, as an `Answer` in JSON."""
        found: dict[int, dict[str, list[str]]] = {index: {} for index in self.finish_reasons}
        beside_last = sorted(self._parts.items(), key=lambda item: item[0][1] == "other")
        for (index, part, _), texts in beside_last:
            kept = "text" if part == "other" else part
            found.setdefault(index, {}).setdefault(kept, []).extend(texts)
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


def is_made_up(identifier: str) -> bool:
    """Say whether an id is a server's own, as `call_1a2b`.

    Some parsers of tool calls take ids from what the model wrote: any other id is text.
    """
    return _MADE_UP_ID.fullmatch(identifier) is not None


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

_MADE_UP_ID: Final = re.compile(r"(?:[a-z]{1,12}[-_]){0,2}[0-9A-Za-z]{1,40}")
_no_text_decoder: Final = msgspec.json.Decoder(_NoText)
_answer_decoder: Final = msgspec.json.Decoder(Answer)
_encoder: Final = msgspec.json.Encoder()


def answer_text(content: bytes) -> str:
    """Return all text of a recorded answer: every choice, reasoning and tool calls included.

    Tool calls come as they stand, and with their escapes decoded where that is another text.

    Raises:
        msgspec.MsgspecError: it is no recorded answer.
    """
    answer = _answer_decoder.decode(content)
    texts = (
        text
        for c in answer.choices
        for text in (c.reasoning, c.text, c.refusal, *readings(c.tool_calls))
    )
    return "\n".join(text for text in texts if text)
