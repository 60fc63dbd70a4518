"""The whole way with a real vLLM and the real SDK: over the journals alone, and over Kafka."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import openai
import pytest
from openai.types.chat import ChatCompletionUserMessageParam

from service.events.log import Received, Topic
from service.events.schema import AnyEvent, Closed, Opened, Verdict, to_event
from tests.e2e.evidence import (
    CATCH_UP_S,
    KafkaContents,
    assert_counted_alike,
    kafka_log,
    screened,
)
from tests.real_parts.kafka_broker import kafka_broker, wait_until
from tests.real_parts.vllm import running_requests
from tests.real_parts.watchgate import Watchgate

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

MODEL = "smollm2"
QUESTION = "What is the capital of France?"
MESSAGES: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": QUESTION}]
ANSWER_S = 120.0
CANCEL_S = 10.0
"""The answer that is cancelled would take more than a minute."""


@dataclass(frozen=True, slots=True)
class Service:
    """A running installation, and the SDK that calls it."""

    watchgate: Watchgate
    client: openai.OpenAI
    kafka: KafkaContents | None
    vllm: str

    def records(self, exchange_id: str) -> list[Received]:
        """Return an exchange's records from where workers read them."""
        if self.kafka is None:
            return self.watchgate.records(exchange_id)
        found = self.kafka.records()
        return [one for one in found if to_event(one.record).exchange_id == exchange_id]

    def screened(self, exchange_id: str) -> tuple[Sequence[AnyEvent], Sequence[bytes]]:
        """Wait for an exchange's last verdict; return its events, and its contents in order."""
        wait_until(
            lambda: exchange_id in screened(self.records(exchange_id)), CATCH_UP_S, "the verdicts"
        )
        records = self.records(exchange_id)
        contents = [one.record.content for one in records if one.record.content is not None]
        return [to_event(one.record) for one in records], contents


@pytest.fixture(scope="module", params=["journal", "kafka"])
def service(
    request: pytest.FixtureRequest, real_vllm: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with contextlib.ExitStack() as stack:
        sections: dict[str, object] = {}
        if request.param == "kafka":
            sections["event_log"] = kafka_log(stack.enter_context(kafka_broker(folder / "broker")))
        watchgate = Watchgate(folder / "watchgate", real_vllm, **sections)
        key = watchgate.create_key("acme")
        stack.enter_context(watchgate)
        kafka = stack.enter_context(KafkaContents(watchgate)) if sections else None
        yield Service(watchgate, sdk(watchgate, key), kafka, real_vllm)


def sdk(watchgate: Watchgate, key: str) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{watchgate.url}/v1", api_key=key, max_retries=0, timeout=ANSWER_S
    )


def assert_covered(events: Sequence[AnyEvent]) -> Closed:
    """An exchange that was served has one beginning, one end, and verdicts on all of it."""
    opened = [event for event in events if isinstance(event, Opened)]
    closed = [event for event in events if isinstance(event, Closed)]
    verdicts = {event.part: event for event in events if isinstance(event, Verdict)}
    assert (len(opened), len(closed)) == (1, 1)
    assert {event.account for event in events} == {"acme"}
    unscanned = {part: event.unscanned for part, event in verdicts.items()}
    assert unscanned == dict.fromkeys(("prompt", "answer", "exchange"))
    assert closed[0].served_number > 0
    return closed[0]


def recorded_text(contents: Sequence[bytes]) -> str:
    """Return the answer that was recorded, the last content of an exchange."""
    text: str = json.loads(contents[-1])["choices"][0]["text"]
    return text


def test_a_chat_is_answered_recorded_and_screened(service: Service) -> None:
    raw = service.client.chat.completions.with_raw_response.create(
        model=MODEL, messages=MESSAGES, max_tokens=16, temperature=0
    )
    answer = raw.parse()
    text = answer.choices[0].message.content or ""
    assert "Paris" in text
    assert answer.model == MODEL
    assert answer.id.startswith(f"chatcmpl-{raw.headers['x-watchgate-receipt']}")

    events, contents = service.screened(raw.headers["x-watchgate-receipt"])

    closed = assert_covered(events)
    assert answer.usage is not None
    assert closed.prompt_tokens == answer.usage.prompt_tokens
    assert closed.completion_tokens == answer.usage.completion_tokens
    assert json.loads(contents[0])["messages"] == MESSAGES
    assert recorded_text(contents) == text


def test_a_receipt_shows_the_records_and_verdicts_but_nothing_that_was_said(
    service: Service,
) -> None:
    raw = service.client.chat.completions.with_raw_response.create(
        model=MODEL, messages=MESSAGES, max_tokens=2, temperature=0
    )
    receipt = raw.headers["x-watchgate-receipt"]
    service.screened(receipt)

    shown = service.watchgate.receipt(receipt)

    assert QUESTION not in json.dumps(shown)
    kinds = {entry["event"]["kind"] for entry in shown["records"]}
    assert kinds == {"opened", "closed", "verdict"}


@pytest.mark.parametrize("usage", [True, False], ids=["with usage", "without usage"])
def test_a_streamed_chat_comes_in_pieces_and_is_recorded_whole(
    service: Service, usage: bool
) -> None:
    raw = service.client.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=MESSAGES,
        max_tokens=16,
        temperature=0,
        stream=True,
        stream_options={"include_usage": usage},
    )
    chunks = list(raw.parse())
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    text = "".join(piece for piece in pieces if piece)
    assert "Paris" in text
    assert len(pieces) > 3
    usages = [chunk.usage for chunk in chunks if chunk.usage is not None]
    assert len(usages) == usage

    events, contents = service.screened(raw.headers["x-watchgate-receipt"])

    closed = assert_covered(events)
    assert (closed.completion_tokens or 0) > 3
    assert closed.timings is not None
    assert recorded_text(contents) == text


def test_a_completion_is_answered_recorded_and_screened(service: Service) -> None:
    raw = service.client.completions.with_raw_response.create(
        model=MODEL, prompt="The capital of France is", max_tokens=8, temperature=0
    )
    text = raw.parse().choices[0].text
    assert text

    events, contents = service.screened(raw.headers["x-watchgate-receipt"])

    assert assert_covered(events).surface == "completions"
    assert json.loads(contents[0])["prompt"] == "The capital of France is"
    assert recorded_text(contents) == text


def test_the_list_of_models_names_those_of_the_settings(service: Service) -> None:
    assert [model.id for model in service.client.models.list()] == [MODEL]
    assert service.client.models.retrieve(MODEL).id == MODEL


def test_an_unknown_model_is_not_found(service: Service) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        service.client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert caught.value.code == "model_not_found"


def test_a_wrong_key_is_refused(service: Service) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        sdk(service.watchgate, "wg-wrong").chat.completions.create(model=MODEL, messages=MESSAGES)
    assert caught.value.code == "invalid_api_key"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_prompt_longer_than_the_context_is_a_bad_request_in_vllms_words(
    service: Service, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        service.client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "word " * 3000}], stream=stream
        )
    assert "2048" in caught.value.message

    events, _ = service.screened(caught.value.response.headers["x-watchgate-receipt"])

    closed = [event for event in events if isinstance(event, Closed)]
    assert [(event.outcome, event.status) for event in closed] == [("refused_by_upstream", 400)]


def test_a_stream_that_is_cancelled_ends_vllms_work_and_is_recorded_as_far_as_it_came(
    service: Service,
) -> None:
    raw = service.client.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Write a very long story about the sea."}],
        max_tokens=1500,
        temperature=0,
        stream=True,
    )
    stream = raw.parse()
    pieces = []
    for chunk in stream:
        pieces.append(chunk.choices[0].delta.content or "")
        if len(pieces) == 5:
            break
    assert running_requests(service.vllm) == 1
    stream.close()

    wait_until(lambda: running_requests(service.vllm) == 0, CANCEL_S, "vLLM works on nothing")

    events, contents = service.screened(raw.headers["x-watchgate-receipt"])
    assert assert_covered(events).outcome == "client_gone"
    assert recorded_text(contents).startswith("".join(pieces))


def test_as_many_exchanges_are_recorded_and_screened_as_were_served(service: Service) -> None:
    for _ in range(3):
        service.client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=2)

    events = [to_event(one.record) for one in service.watchgate.topic(Topic.EXCHANGES)]
    served = [event for event in events if isinstance(event, Closed) and event.served_number]
    assert len(served) >= 3
    assert_counted_alike(service.watchgate, len(served))
