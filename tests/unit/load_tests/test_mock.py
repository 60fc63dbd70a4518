"""The mock and the load client are real programs: they are compiled and run here."""

import json
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from load_tests.measure import http_request
from load_tests.processes import compiled
from load_tests.systems import mock
from load_tests.workloads import Stream, Workload

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


def run_load(folder: Path, port: int, workload: Workload, seconds: float) -> dict[str, Any]:
    request = folder / "request.http"
    request.write_bytes(http_request(workload, "none"))
    words = (workload.kind, port, workload.connections, seconds, request, *workload.shape())
    told = subprocess.run(
        [str(word) for word in (compiled("load"), *words)],
        capture_output=True,
        timeout=60,
        check=True,
    ).stdout
    loaded: dict[str, Any] = json.loads(told)
    return loaded


def words_of(answer: HTTPResponse) -> list[str]:
    chunks = [json.loads(event) for event in events(answer)[:-1]]
    return [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks]


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


def test_a_stream_is_made_of_words_and_none_is_like_another(client: HTTPConnection) -> None:
    first = words_of(ask(client, model="mock-0-50", messages=[], stream=True))
    second = words_of(ask(client, model="mock-0-50", messages=[], stream=True))
    assert all(word.strip().isalpha() for word in first[1:])
    assert len(set(first)) > 20
    assert first != second


def test_no_json_answer_is_like_another(client: HTTPConnection) -> None:
    told = [json.load(ask(client, model="mock-20", messages=[])) for _ in range(2)]
    texts = [it["choices"][0]["message"]["content"] for it in told]
    assert [len(text.split()) for text in texts] == [35, 35]
    assert texts[0] != texts[1]


def test_every_nth_stream_is_reset_half_way_where_the_model_says_so(port: int) -> None:
    ends = []
    for _ in range(4):
        client = HTTPConnection("127.0.0.1", port, timeout=PORT_TIMEOUT_S)
        try:
            ends.append(len(events(ask(client, model="mock-1-20-2", messages=[], stream=True))))
        except ConnectionResetError:
            ends.append(0)
        client.close()
    assert sorted(ends) == [0, 0, 21, 21]


def test_the_load_client_counts_complete_answers(port: int, tmp_path: Path) -> None:
    told = run_load(tmp_path, port, Workload("json", 4), 0.1)
    assert told["errors"] == 0
    assert told["requests"] >= 4
    assert 0 < told["latency_us"]["p50"] <= told["latency_us"]["p99"]


def test_the_load_client_counts_events_and_lets_streams_end(port: int, tmp_path: Path) -> None:
    told = run_load(tmp_path, port, Workload("sse", 4, stream=Stream(1, 5, 100)), 0.1)
    assert told["errors"] == 0
    assert told["events"] == 6 * told["requests"]


def test_a_stream_with_an_event_too_few_is_an_error(port: int, tmp_path: Path) -> None:
    class Greedy(Stream):
        @property
        def events(self) -> int:
            return 7

    told = run_load(tmp_path, port, Workload("sse", 1, stream=Greedy(5, 5, 0)), 0.05)
    assert told["errors"] == told["requests"] > 0


class Recorder(BaseHTTPRequestHandler):
    """Keeps what it is asked, and answers as the load client wants it."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(body["messages"][1]["content"])
        answer = b'{"total_tokens": 1}'
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def test_no_two_requests_are_alike_not_even_in_two_runs(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        for _ in range(2):
            run_load(tmp_path, server.server_port, Workload("json", 1), 0.05)
        server.shutdown()
    asked = Recorder.asked
    heads, middles = {it[:21] for it in asked}, {it[600:700] for it in asked}
    assert len(asked) >= 2
    assert len(heads) == len(middles) == len(asked)
    assert "~" not in "".join(asked)
