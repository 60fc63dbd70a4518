"""Relaying answers, from an answer that the test feeds."""

import json
from typing import Any, cast

import pytest

from service.core.callers import Caller
from service.core.surfaces.chat import CHAT
from service.core.surfaces.shape import parse
from service.core.tiers import TIERS
from service.errors import UpstreamBroke, UpstreamError
from service.gateway.balancer import Balancer
from service.gateway.exchange import Exchange, ExchangeIds, ServedModel
from service.gateway.http_answer import Answer
from service.gateway.relay import Relay, is_stream

EVENTS = [("content-type", "text/event-stream")]


class Source:
    """Where nothing comes from but what the test feeds."""

    def fail(self, error: UpstreamError) -> None:
        """Nobody gives up."""

    def resume(self) -> None:
        """Nothing was paused."""


def answer_of(
    *parts: bytes, status: int = 200, fields: list[tuple[str, str]] | None = None
) -> Answer:
    answer = Answer(Source())
    answer.status = status
    answer.headers = [(name.encode(), value.encode()) for name, value in fields or []]
    for part in parts:
        answer.feed(part)
    answer.settle(None)
    return answer


class Caught:
    """A relay, what it sends, and when it had `closed` recorded."""

    def __init__(self, *, stream: bool = False, upstream_model: str = "b", **fields: Any) -> None:  # noqa: ANN401
        body = {"model": "a", "messages": [], "stream": stream, **fields}
        upstream = cast("Balancer", None)
        self.exchange = Exchange(
            id="ex-1", ids=ExchangeIds("0" * 16), received_at=0.0, started=0.0,
            caller=Caller("k", "p", "p"), surface=CHAT,
            model=ServedModel.of("a", upstream_model, TIERS[0], upstream),
            request=parse(json.dumps(body).encode()), caller_request_id=None, traceparent=None,
            reader=CHAT.answer_reader(),
        )  # fmt: skip
        self.sent: list[Any] = []
        self.sent_when_finished = -1
        self.relay = Relay(self.exchange, self._send, [(b"x-request-id", b"ex-1")])

    async def _send(self, message: Any) -> None:  # noqa: ANN401
        self.sent.append(message)

    def send_now(self, message: Any) -> bool:  # noqa: ANN401
        self.sent.append(message)
        return True

    def send_whole(self, status: int, headers: Any, body: bytes) -> bool:  # noqa: ANN401
        self.sent.append({"status": status, "headers": headers, "body": body})
        return True

    async def bring(self, answer: Answer, max_bytes: int = 1000) -> None:
        if self.exchange.request.stream:
            await self.relay.stream(answer, max_bytes, self.finish, self.send_now)
        else:
            await self.relay.whole(answer, max_bytes, self.finish, self.send_whole)

    async def finish(self) -> None:
        self.sent_when_finished = len(self.sent)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


async def test_a_whole_answer_waits_for_its_record_and_is_of_one_piece() -> None:
    caught = Caught()
    answer = answer_of(b'{"model":"b","choices":[]', b"}")
    await caught.bring(answer)
    assert caught.sent_when_finished == 0
    assert caught.body == b'{"model":"a","choices":[]}'
    assert (b"content-type", b"application/octet-stream") in caught.sent[0]["headers"]


async def test_only_the_models_field_is_renamed_and_only_once() -> None:
    caught = Caught(upstream_model='b"\\')
    said = json.dumps(
        {"model": 'b"\\', "choices": [], "note": '"model":"b\\"'}, separators=(",", ":")
    )
    await caught.bring(answer_of(said.encode()))
    assert json.loads(caught.body) == {"model": "a", "choices": [], "note": '"model":"b\\"'}


async def test_events_in_one_piece_leave_as_one_and_the_last_alone() -> None:
    caught = Caught(stream=True)
    event = b'data: {"model":"b","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'
    answer = answer_of(event + event + b"data: [DONE]\n\n", fields=EVENTS)
    assert is_stream(answer)
    await caught.bring(answer)
    assert [m["type"] for m in caught.sent] == ["http.response.start", *["http.response.body"] * 2]
    assert caught.sent_when_finished == 2
    assert caught.body == (event + event).replace(b'"b"', b'"a"') + b"data: [DONE]\n\n"
    assert caught.exchange.served_number == 1


@pytest.mark.parametrize("asked", [True, False])
async def test_usage_alone_is_passed_on_if_it_was_asked_for(*, asked: bool) -> None:
    caught = Caught(stream=True, stream_options={"include_usage": asked})
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n'
    await caught.bring(answer_of(usage, b"data: [DONE]\n\n"))
    assert (usage in caught.body) == asked
    assert caught.exchange.reader.usage is not None


async def test_what_came_before_a_failure_is_delivered() -> None:
    caught = Caught(stream=True)
    event = b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'
    with pytest.raises(UpstreamBroke):
        await caught.bring(answer_of(event + b"data: {\n\n"))
    assert caught.body == event
    assert caught.sent_when_finished == -1


async def test_an_answer_over_the_limit_breaks() -> None:
    for caught in (Caught(), Caught(stream=True)):
        with pytest.raises(UpstreamBroke):
            await caught.bring(answer_of(b"x" * 11), 10)
        assert caught.sent == []


def test_only_a_good_answer_of_events_is_a_stream() -> None:
    assert is_stream(answer_of(fields=[("content-type", "Text/Event-Stream; charset=utf-8")]))
    assert not is_stream(answer_of(fields=EVENTS, status=400))
    assert not is_stream(answer_of())
