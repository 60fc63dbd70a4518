"""What callers get is what vLLM sent, byte for byte, but for the edits that the contract lists.

The whole corpus is sent at once through a real gateway to a real vLLM. A tee between the two keeps
what each request became and what vLLM answered, so that both sides of one and the same exchange
are compared.
"""

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import pytest

from tests.real_parts.tee import Forwarded, Tee, tee_before
from tests.real_parts.watchgate import Watchgate

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

CHAT: Final = "/v1/chat/completions"
COMPLETIONS: Final = "/v1/completions"
RESPONSES: Final = "/v1/responses"
MESSAGES: Final = "/v1/messages"
COUNT_TOKENS: Final = "/v1/messages/count_tokens"

UPSTREAM_MODEL: Final = "smollm2"
BEHIND: Final = {"upstream_model": UPSTREAM_MODEL}
MODELS: Final[Mapping[str, Mapping[str, object]]] = {
    UPSTREAM_MODEL: {},
    "renamed": BEHIND,
    "windowed": {**BEHIND, "screening": {"answer": {"mode": "window", "window_chars": 16}}},
    "buffered": {**BEHIND, "screening": {"answer": {"mode": "buffer"}}},
}
"""However answers are screened: what is harmless passes untouched."""
POINTS: Final = [
    {
        "detector": "lexical",
        "category": "any",
        "part": part,
        "threshold": 0.97,
        "action": "block",
        "models": ["windowed", "buffered"],
    }
    for part in ("prompt", "answer")
]
AT_ONCE: Final = 16
ANSWER_S: Final = 240.0

MANY_SCRIPTS: Final = 'Répète: 日本語, العربية, हिन्दी, 👩‍👩‍👧, \u2028, \x7f, "\\/", \t, é.'
LONG: Final = "The sea was calm and the ship sailed on. " * 110
SCHEMA: Final = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER: Final = {"name": "weather", "description": "The weather in a city", "parameters": SCHEMA}
USAGE: Final = {"stream_options": {"include_usage": True}}
Fields = Mapping[str, Any]


def chat(content: object = "Name a colour.", **fields: object) -> Fields:
    messages = [{"role": "user", "content": content}]
    return {"messages": messages, "max_tokens": 8, "temperature": 0, **fields}


def completion(prompt: object = "Once upon a time", **fields: object) -> Fields:
    return {"prompt": prompt, "max_tokens": 8, "temperature": 0, **fields}


def response(given: object = "Name a colour.", **fields: object) -> Fields:
    return {"input": given, "max_output_tokens": 8, "temperature": 0, **fields}


def message(content: object = "Name a colour.", **fields: object) -> Fields:
    return chat(content, **fields)


CHAT_TOOL: Final = {
    "tools": [{"type": "function", "function": WEATHER}],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "max_tokens": 64,
}
RESPONSE_TOOL: Final = {
    "tools": [{"type": "function", **WEATHER}],
    "tool_choice": {"type": "function", "name": "weather"},
    "max_output_tokens": 64,
}
MESSAGE_TOOL: Final = {
    "tools": [{"name": "weather", "strict": True, "input_schema": SCHEMA}],
    "tool_choice": {"type": "tool", "name": "weather"},
    "max_tokens": 64,
}
CHAT_FORMAT: Final = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}
RESPONSE_FORMAT: Final = {"format": {"type": "json_schema", "name": "city", "schema": SCHEMA}}

CORPUS: Final[Mapping[str, tuple[str, Fields]]] = {
    "chat": (CHAT, chat()),
    "chat, streamed": (CHAT, chat(stream=True)),
    "chat, streamed with usage": (CHAT, chat(stream=True, **USAGE)),
    "chat, streamed with usage refused": (
        CHAT,
        chat(stream=True, stream_options={"include_usage": False}),
    ),
    "chat, streamed with usage in every event": (
        CHAT,
        chat(stream=True, stream_options={"include_usage": True, "continuous_usage_stats": True}),
    ),
    "chat, two choices": (CHAT, chat(n=2, temperature=1, seed=1)),
    "chat, two choices, streamed": (CHAT, chat(n=2, temperature=1, seed=1, stream=True)),
    "chat, log probabilities": (CHAT, chat(logprobs=True, top_logprobs=2)),
    "chat, log probabilities, streamed": (CHAT, chat(logprobs=True, top_logprobs=2, stream=True)),
    "chat, stopped": (CHAT, chat("Count from 1 to 9.", stop=["3", "4"], max_tokens=16)),
    "chat, stopped, streamed": (
        CHAT,
        chat("Count from 1 to 9.", stop="3", max_tokens=16, stream=True),
    ),
    "chat, a tool": (CHAT, chat("The weather in Paris?", **CHAT_TOOL)),
    "chat, a tool, streamed": (CHAT, chat("The weather in Paris?", stream=True, **CHAT_TOOL)),
    "chat, structured": (CHAT, chat(response_format=CHAT_FORMAT, max_tokens=24)),
    "chat, structured, streamed": (
        CHAT,
        chat(response_format=CHAT_FORMAT, max_tokens=24, stream=True),
    ),
    "chat, many scripts": (CHAT, chat(MANY_SCRIPTS, max_tokens=24)),
    "chat, many scripts, streamed": (CHAT, chat(MANY_SCRIPTS, max_tokens=24, stream=True)),
    "chat, parts": (CHAT, chat([{"type": "text", "text": "Name"}, {"type": "text", "text": "A"}])),
    "chat, long, streamed": (CHAT, chat(LONG, max_tokens=64, stream=True, **USAGE)),
    "chat, names the model": (CHAT, chat('Say {"model":"smollm2"}', stream=True, user="smollm2")),
    "chat, refused by vLLM": (CHAT, chat(max_tokens=100_000)),
    "chat, refused by vLLM, streamed": (CHAT, chat(top_p=-1, stream=True)),
    "completion": (COMPLETIONS, completion()),
    "completion, streamed": (COMPLETIONS, completion(stream=True)),
    "completion, streamed with usage": (COMPLETIONS, completion(stream=True, **USAGE)),
    "completion, two prompts": (COMPLETIONS, completion(["One", MANY_SCRIPTS])),
    "completion, two prompts, streamed": (COMPLETIONS, completion(["One", "Two"], stream=True)),
    "completion, echoed with log probabilities": (COMPLETIONS, completion(echo=True, logprobs=2)),
    "completion, two choices, streamed": (COMPLETIONS, completion(n=2, temperature=1, stream=True)),
    "response": (RESPONSES, response()),
    "response, streamed": (RESPONSES, response(stream=True)),
    "response, instructed": (RESPONSES, response(instructions=MANY_SCRIPTS)),
    "response, a conversation, streamed": (
        RESPONSES,
        response(
            [
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": "Hi!"},
                {"role": "user", "content": [{"type": "input_text", "text": MANY_SCRIPTS}]},
            ],
            stream=True,
        ),
    ),
    "response, a tool": (RESPONSES, response("The weather in Paris?", **RESPONSE_TOOL)),
    "response, a tool, streamed": (
        RESPONSES,
        response("The weather in Paris?", stream=True, **RESPONSE_TOOL),
    ),
    "response, structured, streamed": (
        RESPONSES,
        response(text=RESPONSE_FORMAT, max_output_tokens=24, stream=True),
    ),
    "response, names the model": (
        RESPONSES,
        response(metadata={"model": "smollm2"}, instructions='"model":"smollm2"', stream=True),
    ),
    "message": (MESSAGES, message()),
    "message, streamed": (MESSAGES, message(stream=True)),
    "message, with a system prompt": (MESSAGES, message(system=MANY_SCRIPTS)),
    "message, stopped, streamed": (
        MESSAGES,
        message("Count from 1 to 9.", stop_sequences=["3"], max_tokens=16, stream=True),
    ),
    "message, many scripts, streamed": (MESSAGES, message(MANY_SCRIPTS, stream=True)),
    "message, a tool": (MESSAGES, message("The weather in Paris?", **MESSAGE_TOOL)),
    "message, a tool, streamed": (
        MESSAGES,
        message("The weather in Paris?", stream=True, **MESSAGE_TOOL),
    ),
    "tokens of a message": (COUNT_TOKENS, {"messages": message(MANY_SCRIPTS)["messages"]}),
}


@dataclass(frozen=True, slots=True)
class Received:
    """A request as its caller wrote it, and the answer as its caller got it."""

    request: bytes
    status: int
    content_type: str | None
    body: bytes
    receipt: str


@dataclass(frozen=True, slots=True)
class Exchanged:
    """The two sides of an exchange."""

    model: str
    caller: Received
    forwarded: Forwarded | None

    @property
    def vllm(self) -> Forwarded:
        """What vLLM saw and sent."""
        assert self.forwarded is not None, f"not forwarded: {self.caller.body.decode()}"
        return self.forwarded


@dataclass(frozen=True, slots=True)
class Installation:
    """Where callers reach the gateway, and the tee behind it."""

    port: int
    key: str
    tee: Tee


Exchanges = Mapping[str, Exchanged]


@pytest.fixture(scope="module")
def installation(
    real_vllm: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    host, port = real_vllm.removeprefix("http://").split(":")
    sections: dict[str, object] = {
        "models": [
            {"name": name, "upstream": "local", "tier": 1, **fields}
            for name, fields in MODELS.items()
        ],
        "operating_points": POINTS,
    }
    with tee_before(host, int(port)) as tee:
        watchgate = Watchgate(tmp_path_factory.mktemp("bytes"), tee.url, **sections)
        key = watchgate.create_key("acme")
        with watchgate:
            yield Installation(watchgate.port, key, tee)


@pytest.fixture(scope="module", params=MODELS)
def exchanges(request: pytest.FixtureRequest, installation: Installation) -> Exchanges:
    """Send the whole corpus, several requests at once."""
    model: str = request.param

    def exchange(case: tuple[str, Fields]) -> Exchanged:
        path, fields = case
        received = send(installation, path, {"model": model, **fields})
        return Exchanged(model, received, installation.tee.exchange(received.receipt))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(CORPUS, pool.map(exchange, CORPUS.values()), strict=True))


def send(to: Installation, path: str, fields: Fields) -> Received:
    """Send a request, with the blanks that json.dumps writes, and return its answer."""
    body = json.dumps(fields, ensure_ascii=False).encode()
    headers = {"authorization": f"Bearer {to.key}", "content-type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", to.port, timeout=ANSWER_S)
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    receipt = answer.headers["x-watchgate-receipt"]
    return Received(body, answer.status, answer.headers["content-type"], content, receipt)


@pytest.mark.parametrize("case", CORPUS)
def test_the_caller_gets_vllms_bytes_but_for_the_listed_edits(
    exchanges: Exchanges, case: str
) -> None:
    exchanged = exchanges[case]
    caller, vllm = exchanged.caller, exchanged.vllm
    assert vllm.answer.is_complete
    assert caller.status == vllm.status == (400 if "refused by" in case else 200)
    assert caller.content_type == vllm.answer.headers[b"content-type"].decode()
    assert caller.body == edited(exchanged)


@pytest.mark.parametrize("case", CORPUS)
def test_vllm_gets_the_callers_bytes_but_for_the_listed_edits(
    exchanges: Exchanges, case: str
) -> None:
    exchanged = exchanges[case]
    given = raw_fields(exchanged.caller.request)
    sent = raw_fields(exchanged.vllm.request.body)
    if asks_for_usage_unasked(exchanged):
        assert msgspec.json.decode(sent.pop("stream_options"))["include_usage"] is True
        given.pop("stream_options", None)
    elif exchanged.model == UPSTREAM_MODEL:
        assert exchanged.vllm.request.body == exchanged.caller.request
    assert msgspec.json.decode(given.pop("model")) == exchanged.model
    assert msgspec.json.decode(sent.pop("model")) == UPSTREAM_MODEL
    assert list(sent.items()) == list(given.items())
    assert exchanged.vllm.path == CORPUS[case][0]


def test_the_corpus_has_answers_of_every_kind(exchanges: Exchanges) -> None:
    bodies = [exchanged.caller.body for exchanged in exchanges.values()]
    for mark in (
        b'"tool_calls":[{', b'"type":"tool_use"', b'"type":"function_call"', b'"logprob":',
        b'"index":1', b'"finish_reason":"stop"', b'"finish_reason":"length"', b"data: [DONE]",
        b'"choices":[],"usage"', b"event: message_stop", b"event: response.completed",
    ):  # fmt: skip
        assert any(mark in body for body in bodies), mark


# The edits, done anew to what vLLM sent


def edited(exchanged: Exchanged) -> bytes:
    """Return what the caller has to get of what vLLM sent."""
    sent = exchanged.vllm.answer.body
    if not sent.startswith((b"data: ", b"event: ")):
        return renamed(sent, exchanged.model)
    events = sent.split(b"\n\n")
    assert events.pop() == b"", "vLLM ends every event with an empty line"
    if asks_for_usage_unasked(exchanged):
        events = without_usage(events)
    lines = (
        b"\n".join(renamed_line(line, exchanged.model) for line in e.split(b"\n")) for e in events
    )
    return b"".join(line + b"\n\n" for line in lines)


def asks_for_usage_unasked(exchanged: Exchanged) -> bool:
    """Say whether the gateway has to ask for the usage that its caller did not ask for."""
    asked = json.loads(exchanged.caller.request)
    usage = asked.get("stream_options", {}).get("include_usage", False)
    return bool(
        exchanged.vllm.path in {CHAT, COMPLETIONS} and asked.get("stream", False) and not usage
    )


def without_usage(events: Sequence[bytes]) -> list[bytes]:
    """Return a stream's events without its one chunk of usage alone."""
    rest = [event for event in events if b'"choices":[],"usage":{' not in event]
    assert len(events) - len(rest) == 1
    return rest


def renamed_line(line: bytes, model: str) -> bytes:
    name, colon, value = line.partition(b": ")
    return line if name != b"data" or value == b"[DONE]" else name + colon + renamed(value, model)


def renamed(document: bytes, model: str) -> bytes:
    """Return an answer or an event with the model's public name where its API names the model."""
    fields = raw_fields(document)
    assert msgspec.json.encode(fields) == document, "vLLM writes JSON without blanks"
    if "model" in fields:
        fields["model"] = msgspec.Raw(msgspec.json.encode(model))
    for place in ("response", "message"):
        if place in fields:
            fields[place] = msgspec.Raw(renamed(bytes(fields[place]), model))
    return msgspec.json.encode(fields)


def raw_fields(document: bytes) -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(document, type=dict[str, msgspec.Raw])
