"""The mock and the load client are real programs: they are compiled and run here."""

import json
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from load_tests.measure import http_request
from load_tests.processes import compiled
from load_tests.systems import mock

PORT_TIMEOUT_S = 20


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with mock(tmp_path_factory.mktemp("mock"), core=None) as (port, _):
        yield port


@pytest.fixture
def client(port: int) -> Iterator[HTTPConnection]:
    connection = HTTPConnection("127.0.0.1", port, timeout=PORT_TIMEOUT_S)
    yield connection
    connection.close()


def ask(client: HTTPConnection, **body: Any) -> HTTPResponse:  # noqa: ANN401  (a JSON body)
    client.request("POST", "/v1/chat/completions", json.dumps(body))
    return client.getresponse()


def events(answer: HTTPResponse) -> list[str]:
    return [event.removeprefix("data: ") for event in answer.read().decode().split("\n\n")[:-1]]


def run_load(tmp_path: Path, *words: object, stream: bool, model: str) -> dict[str, Any]:
    request = tmp_path / "request.http"
    request.write_bytes(http_request(model=model, stream=stream, key="none"))
    kind, port, connections, seconds, *rest = words
    command = [compiled("load"), kind, port, connections, seconds, request, *rest]
    told = subprocess.run(
        [str(word) for word in command], capture_output=True, timeout=60, check=True
    ).stdout
    loaded: dict[str, Any] = json.loads(told)
    return loaded


def test_one_connection_serves_health_models_and_answers(client: HTTPConnection) -> None:
    for path in ("/health", "/v1/models"):
        client.request("GET", path)
        answer = client.getresponse()
        answer.read()
        assert answer.status == 200
    told = json.load(ask(client, model="mock-20", messages=[]))
    assert told["model"] == "mock-20"
    assert told["choices"][0]["finish_reason"] == "stop"
    assert told["usage"]["total_tokens"] == 356


def test_a_stream_has_its_chunks_then_usage_then_done(client: HTTPConnection) -> None:
    options = {"include_usage": True}
    answer = ask(client, model="mock-1-5", messages=[], stream=True, stream_options=options)
    *chunks, usage, done = events(answer)
    choices = [json.loads(chunk)["choices"][0] for chunk in chunks]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [choice["finish_reason"] for choice in choices] == [None] * 4 + ["stop"]
    assert json.loads(usage)["usage"]["completion_tokens"] == 5
    assert done == "[DONE]"


def test_a_stream_without_the_option_has_no_usage_chunk(client: HTTPConnection) -> None:
    told = events(ask(client, model="mock-0-5", messages=[], stream=True))
    assert len(told) == 6
    assert "usage" not in told[-2]


def test_a_connection_is_kept_after_a_stream(client: HTTPConnection) -> None:
    assert len(events(ask(client, model="mock-1-2", messages=[], stream=True))) == 3
    assert ask(client, model="mock-1-2", messages=[]).status == 200


def test_a_long_stream_to_a_slow_reader_arrives_whole(client: HTTPConnection) -> None:
    answer = ask(client, model="mock-0-60000", messages=[], stream=True)
    assert len(events(answer)) == 60_001


def test_a_body_in_chunks_is_understood(client: HTTPConnection) -> None:
    body = json.dumps({"model": "mock-20", "messages": []}).encode()
    client.request("POST", "/v1/chat/completions", iter([body]), encode_chunked=True)
    assert client.getresponse().status == 200


@pytest.mark.parametrize(("path", "status"), [("/v1/chat/completions", 400), ("/metrics", 404)])
def test_other_requests_are_refused(client: HTTPConnection, path: str, status: int) -> None:
    client.request("POST", path, "{}")
    assert client.getresponse().status == status


def test_the_load_client_counts_complete_answers(port: int, tmp_path: Path) -> None:
    told = run_load(tmp_path, "json", port, 4, 0.1, stream=False, model="mock-20")
    assert told["errors"] == 0
    assert told["requests"] >= 4
    assert 0 < told["latency_us"]["p50"] <= told["latency_us"]["p99"]


def test_the_load_client_counts_events_and_lets_streams_end(port: int, tmp_path: Path) -> None:
    told = run_load(tmp_path, "sse", port, 4, 0.1, 6, 100, stream=True, model="mock-1-5")
    assert told["errors"] == 0
    assert told["events"] == 6 * told["requests"]


def test_a_stream_with_an_event_too_few_is_an_error(port: int, tmp_path: Path) -> None:
    told = run_load(tmp_path, "sse", port, 1, 0.05, 7, 0, stream=True, model="mock-5-5")
    assert told["errors"] == told["requests"] > 0
