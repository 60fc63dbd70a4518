"""A hostile upstream: whatever it sends, the caller gets an end and what it got was recorded."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core.surfaces.answers import Answer
from tests.real_parts.gateway import (
    CHAT,
    DONE,
    STREAM_END,
    STREAM_HEAD,
    RecordedExchange,
    Reply,
    answer_of,
    chat,
    chat_body,
    chat_event,
    compact,
    event,
    framed,
    rendered,
    usage_event,
)
from tests.real_parts.scripted import Peer
from tests.real_parts.standing import Standing, must_be_foreseen, standing_gateway

FUZZ: Final = settings(
    max_examples=50, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
MAX_CONNECTIONS: Final = 8
RELAYED_REFUSALS: Final = {400, 429}
OUTCOMES: Final = {
    "completed", "refused_by_upstream", "upstream_broke", "upstream_timeout",
    "upstream_unavailable",
}  # fmt: skip


def impatient(written: dict[str, Any]) -> None:
    written["upstreams"][0] |= {"read_timeout_s": 0.1, "max_connections": MAX_CONNECTIONS}
    written["gateway"]["max_answer_bytes"] = 2_000_000


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with standing_gateway(tmp_path_factory.mktemp("fuzz"), impatient) as made:
        yield made


# Reading as a lenient client reads, with nothing of ours.


def texts_of(reply: Reply) -> dict[int, str]:
    """Return the text that a client would show, by choice."""
    texts: dict[int, str] = {}
    is_stream = reply.headers.get("content-type", "").lower().startswith("text/event-stream")
    for data in events_in(reply.body) if is_stream else [reply.body]:
        try:
            body = json.loads(data)
        except ValueError:
            continue
        for choice in choices_in(body):
            index = choice.get("index", 0)
            said = choice.get("delta") or choice.get("message") or {}
            text = said.get("content") if isinstance(said, dict) else None
            if text and isinstance(text, str) and isinstance(index, int):
                texts[index] = texts.get(index, "") + text
    return texts


def events_in(body: bytes) -> list[str]:
    """Split into the data of events: any line end ends a line, an empty line an event."""
    found: list[str] = []
    lines: list[str] = []
    for line in (
        body.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    ):
        name, _, value = line.removeprefix("\ufeff").partition(":")
        if name == "data":
            lines.append(value.removeprefix(" "))
        elif not line and lines:
            found.append("\n".join(lines))
            lines = []
    return [*found, "\n".join(lines)]


def choices_in(body: object) -> list[dict[str, Any]]:
    choices = body.get("choices") if isinstance(body, dict) else None
    return [one for one in choices or () if isinstance(one, dict)] if choices else []


def recorded_texts(answer: Answer) -> dict[int, str]:
    return {choice.index: choice.text for choice in answer.choices if choice.text}


def is_in(reply: Reply, text: str) -> bool:
    """Say whether a reply holds all characters of a text, as JSON writes them."""
    held = Counter(reply.body.decode("utf-8", "replace"))
    return not Counter(text.replace("\n", "")) - held or "\\u" in reply.body.decode("latin-1")


@dataclass(frozen=True)
class Case:
    """What the upstream sends for one request, cut into pieces, and what it does then."""

    answer: bytes
    cuts: tuple[int, ...] = ()
    end: str = "keep"

    async def play(self, peer: Peer) -> bool:
        start = 0
        for cut in sorted({*self.cuts, len(self.answer)}):
            await peer.send(self.answer[start:cut])
            await asyncio.sleep(0)
            start = cut
        if self.end == "reset":
            peer.reset()
        elif self.end == "stall":
            await peer.stall()
        return self.end == "keep"


LAST: Final = rendered("/", headers=[("connection", "close")], method="GET")


async def must_end_well(standing: Standing, cases: Sequence[Case]) -> None:
    """Play the cases side by side; check what the callers got, the journal and the connections."""

    async def play(peer: Peer, request: bytes) -> bool:
        body = json.loads(request.partition(b"\r\n\r\n")[2])
        number = int(body["messages"][0]["content"])
        # a request that was given up may be read as late as in the next example
        return number < len(cases) and await cases[number].play(peer)

    standing.play = play
    requests = [rendered(CHAT, chat(str(number), stream=True)) for number in range(len(cases))]
    answers = await asyncio.gather(*[standing.talk(one, then=LAST) for one in requests])
    recorded = {one.opened.exchange_id: one for one in await standing.recorded(len(cases))}
    for reply, last in answers:
        assert last.status == 404  # the connection was still of use
        must_be_what_was_recorded(reply, recorded[reply.headers["x-watchgate-receipt"]])
    models = standing.gateway.pipeline.models.values()
    clients = [replica.client for model in models for replica in model.upstream.replicas]
    assert all(client.open_connections <= MAX_CONNECTIONS for client in clients)


def must_be_what_was_recorded(reply: Reply, exchange: RecordedExchange) -> None:
    must_be_foreseen([reply], relayed=RELAYED_REFUSALS)
    closed = exchange.closed
    assert closed.outcome in OUTCOMES
    assert (closed.served_number > 0) == (reply.status == 200 or reply.status in RELAYED_REFUSALS)
    if reply.status == 200:
        shown, kept = texts_of(reply), recorded_texts(exchange.answer)
        assert all(kept.get(index, "").startswith(text) for index, text in shown.items())
        beside = {index: text.removeprefix(shown.get(index, "")) for index, text in kept.items()}
        if closed.outcome == "completed":  # what is kept beside it is in fields that nobody knows
            assert all(is_in(reply, text) for text in beside.values())


# What an upstream may say.

HEADS: Final = st.sampled_from(
    [
        STREAM_HEAD,
        STREAM_HEAD.replace(b"text/event-stream; charset=utf-8", b"TEXT/Event-Stream"),
        STREAM_HEAD.replace(b"text/event-stream; charset=utf-8", b"application/json"),
        STREAM_HEAD.replace(b"chunked", b"Chunked"),
        STREAM_HEAD.replace(b"200 OK", b"400 Bad"),
        STREAM_HEAD.replace(b"200 OK", b"500 Bad"),
        STREAM_HEAD.replace(b"200 OK", b"206 Part"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + STREAM_HEAD,
        b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n",
    ]
)
ODD_JSON: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.text(max_size=5)
    | st.sampled_from(["stop", {"content": "x"}, {"index": -1, "delta": {"content": "y"}}]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["choices", "index", "delta", "message", "content", "text", "usage", "error",
             "finish_reason", "prompt_tokens", "completion_tokens", "tool_calls", "function",
             "arguments", "reasoning", "reasoning_content", "refusal", "model"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=8,
)  # fmt: skip
ODD_BODIES: Final = ODD_JSON | st.dictionaries(
    st.sampled_from(["choices", "usage", "error", "id", "object"]), ODD_JSON, max_size=3
).map(lambda fields: chat_body() | fields)
EVENTS: Final = st.one_of(
    st.text(max_size=8).map(chat_event),
    st.sampled_from(
        [
            DONE,
            DONE,
            usage_event(),
            chat_event("x" * 300_000),
            chat_event(None),
            b": a comment\n\n",
            b"event: error\nid: 1\nretry: 5\n\n",
            b"data\n\n",
            b"data:\n\n",
            b"data: {}\n\n",
            b'data: {"choices":[{"delta":\ndata: {"content":"two lines"}}]}\n\n',
            b'data:{"choices":[{"delta":{"content":"no blank"}}]}\n\n',
            b'data: {"choices":[{"index":0,"delta":{"content":"\\ud800"}}]}\n\n',
            b'data: {"choices":[{"index":1e3,"delta":{"content":"z"}}]}\n\n',
            b'data: {"choices":[],"choices":[{"delta":{"content":"twice"}}]}\n\n',
            b'\xef\xbb\xbfdata: {"choices":[{"delta":{"content":"mark"}}]}\n\n',
            b"d\xd0\xb0ta: {}\n\n",
            b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n',
            b'data: {"choices":[{"delta":{"content":"a\0b"}}]}\n\n',
            b'data: {"error":{"message":"x"}}\n\n',
            b"data: [DONE] \n\n",
            b" data: [DONE]\n\n",
            b"data: [DONE]\n",
            b"\n\n\n",
        ]
    ),
    ODD_BODIES.map(event),
    st.binary(max_size=20),
)
STREAMS: Final = st.lists(EVENTS, max_size=6)
LINE_ENDS: Final = st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"])
ENDS: Final = st.sampled_from(["keep"] * 4 + ["close", "close", "reset", "reset", "stall"])
CUTS: Final = st.lists(st.integers(0, 2000), max_size=5).map(tuple)
FRAMED: Final = st.tuples(HEADS, STREAMS, LINE_ENDS, st.booleans()).map(
    lambda drawn: stream_of(*drawn)
)


def stream_of(head: bytes, events: list[bytes], line_end: bytes, is_done: bool) -> bytes:
    stream = [one.replace(b"\n", line_end) for one in [*events, *([DONE] if is_done else [])]]
    return head + b"".join(framed(one) for one in stream if one) + STREAM_END


def cases_of(answers: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[Case]]:
    return st.lists(st.builds(Case, answers, CUTS, ENDS), min_size=1, max_size=12)


@FUZZ
@given(cases=cases_of(FRAMED))
def test_whatever_events_come_the_caller_gets_no_more_than_was_recorded(
    standing: Standing, cases: list[Case]
) -> None:
    standing.run(must_end_well(standing, cases))


@FUZZ
@given(
    cases=cases_of(
        st.builds(
            answer_of,
            st.one_of(
                st.text(st.characters(exclude_categories=["Cs"])).map(chat_body).map(compact),
                ODD_BODIES.map(compact),
                st.binary(max_size=50),
            ),
            st.sampled_from([200, 200, 200, 204, 304, 400, 429, 500, 999]),
        )
    )
)
def test_whatever_whole_answer_comes_the_caller_gets_no_more_than_was_recorded(
    standing: Standing, cases: list[Case]
) -> None:
    standing.run(must_end_well(standing, cases))


WHOLE: Final = answer_of(chat_body())
LENGTH: Final = b"content-length: %d" % len(compact(chat_body()))
HI: Final = chat_event("Hi")
WELL_FORMED: Final = STREAM_HEAD + framed(HI) + framed(DONE) + STREAM_END
LONG: Final = b"y" * 70_000
"""More than the gateway takes without a byte of body."""

LIES: Final = (b"0", b"1", b"99999", b"-1", b"+1", b"", b"9" * 30, b"1, 2", b"0x10", b"0" * 5000)
SIZES: Final = (
    *(b"0", b"1", b"ffff", b"f" * 16, b"f" * 17, b"-1", b"zz", b"", b"5;x=y", b" 5", b"+5", b"0x5"),
    *(b"%x;%b" % (len(HI), LONG), b"%x" % len(HI) + b"\n", b"0" * 30 + b"%x" % len(HI)),
)
TRAILERS: Final = (b"x: y\r\n", b"content-length: 5\r\n", b"x: %b\r\n" % LONG, b"x", b"x: y\n")
CODINGS: Final = (b"gzip", b"gzip, chunked", b"chunked, chunked", b"identity", b"")
FIRST_LINES: Final = (
    *(b"HTTP/1.1 200\r\n", b"HTTP/9.9 200 OK\r\n", b"HTTP/1.1 99 X\r\n", b"ICY 200 OK\r\n"),
    *(b"HTTP/1.1 101 Switching\r\n", b"HTTP/1.1 103 Hints\r\n\r\n" * 9000, b"x: " + LONG, b"\r\n"),
)
BROKEN: Final = (
    *(WHOLE.replace(LENGTH, b"content-length: " + lie) for lie in LIES),
    *(WHOLE.replace(LENGTH, LENGTH + b"\r\ncontent-length: " + lie) for lie in LIES),
    WHOLE.replace(LENGTH, LENGTH + b"\r\ntransfer-encoding: chunked"),
    WHOLE.replace(LENGTH, b"x-nothing: 1"),
    *(WELL_FORMED.replace(b"%x\r\n" % len(HI), size + b"\r\n", 1) for size in SIZES),
    *(WELL_FORMED[:-2] + trailer + b"\r\n" for trailer in TRAILERS),
    *(WELL_FORMED.replace(b"chunked", coding, 1) for coding in CODINGS),
    *(line + WHOLE.partition(b"\r\n")[2] for line in FIRST_LINES),
    WHOLE + WHOLE,
    WELL_FORMED + b"garbage",
)


@pytest.mark.parametrize("end", ["keep", "close", "reset"])
def test_whatever_the_framing_says_the_exchange_ends_and_is_recorded(
    standing: Standing, end: str
) -> None:
    for cuts in ((), tuple(range(0, 600, 40))):
        cases = [Case(answer, cuts, end) for answer in BROKEN]
        standing.run(must_end_well(standing, cases))


@pytest.mark.parametrize("end", ["close", "reset"])
def test_wherever_the_upstream_breaks_off_the_exchange_ends_and_is_recorded(
    standing: Standing, end: str
) -> None:
    cases = [Case(WELL_FORMED[:cut], (), end) for cut in range(len(WELL_FORMED))]
    for start in range(0, len(cases), 50):
        standing.run(must_end_well(standing, cases[start : start + 50]))


def with_other_bytes(data: bytes, at: int) -> bytes:
    return WELL_FORMED[:at] + data + WELL_FORMED[at + len(data) :]


@FUZZ
@given(
    cases=cases_of(
        st.builds(with_other_bytes, st.binary(max_size=200), st.integers(0, len(WELL_FORMED)))
    )
)
def test_whatever_bytes_come_the_exchange_ends_and_is_recorded(
    standing: Standing, cases: list[Case]
) -> None:
    standing.run(must_end_well(standing, cases))
