"""What all processes tell together: under `watchgate up`, over Kafka, with a receiver of traces."""

import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from detectors.api import Category, LeftOut
from detectors.judge import KINDS
from service.core.screening import NOT_SCANNED, OUTCOMES
from service.core.surfaces import SURFACES
from service.events.log import Topic
from service.workers.loop import DEAD_LETTER_REASONS
from tests.e2e.evidence import kafka_log
from tests.real_parts.installation import PAGE_ALWAYS, Installation, installation
from tests.real_parts.kafka_broker import kafka_broker
from tests.real_parts.otlp import Receiver, attributes, receiving
from tests.real_parts.serving import until

TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CANARY = "xylophone-marmalade-quasar"
PROCESSES = ("up", "gateway", "screener", "enforcer", "console", "shipper")
JUDGE = {
    "kind": "judge",
    "name": "guard-20b",
    "url": "http://127.0.0.1:9",  # nobody is there
    "model": "guard",
    "family": "qwen3guard",
    "retries": 0,
}
CASCADE = {
    "kind": "cascade",
    "name": "cascade",
    "stages": [{"detector": "lexical"}, {"detector": "guard-20b", "max_share": 0.001}],
}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Installation]:
    with pytest.MonkeyPatch.context() as patch, kafka_broker(tmp_path_factory.mktemp("k")) as kafka:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        with installation(
            tmp_path_factory.mktemp("up"),
            event_log=kafka_log(kafka),
            detectors=[{"kind": "lexical"}, JUDGE, CASCADE],
            operating_points=[{**PAGE_ALWAYS[0], "detector": "cascade"}],
        ) as running:
            yield running


Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(one: Installation) -> Series:
    connection = HTTPConnection("127.0.0.1", one.ports["ops"], timeout=20)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def values(series: Series, name: str, label: str) -> set[str]:
    return {dict(labels)[label] for told, labels in series if told == f"watchgate_{name}"}


def ask(one: Installation, traceparent: str) -> str:
    connection = HTTPConnection("127.0.0.1", one.ports["gateway"], timeout=30)
    headers = {"authorization": f"Bearer {one.key}", "traceparent": traceparent}
    body = f'{{"model": "fast", "messages": [{{"role": "user", "content": "{CANARY}"}}]}}'
    connection.request("POST", "/v1/chat/completions", body, headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    receipt = answer.headers["x-watchgate-receipt"]
    connection.close()
    return receipt


def test_what_each_process_may_come_to_count_stands_at_0_from_the_start(one: Installation) -> None:
    series, categories = scrape(one), {*Category}
    assert values(series, "requests_total", "surface") == {*SURFACES, "models", "other"}
    assert values(series, "unscanned_total", "reason") == {*NOT_SCANNED, "too_late"}
    assert values(series, "verdicts_total", "action") == {*OUTCOMES}
    assert values(series, "verdicts_total", "detector") == {"lexical", "guard-20b", "cascade"}
    assert values(series, "score_count", "category") <= categories
    assert values(series, "detector_errors_total", "detector") == {"cascade"}
    assert values(series, "detector_stage_texts_total", "outcome") == {"scored", *LeftOut}
    assert values(series, "judge_windows_total", "outcome") == {"scored", "by_label_alone", *KINDS}
    assert values(series, "enforcements_total", "action") == {"block", "cut_off", "page"}
    assert values(series, "alert_deliveries_total", "outcome") == {"ok", "failed"}
    assert values(series, "dead_letters_total", "reason") == {*DEAD_LETTER_REASONS}
    assert values(series, "dead_letters_total", "topic") == {"exchanges", "verdicts", "audit"}
    assert values(series, "shipped_records_total", "topic") == {*Topic}
    assert values(series, "exchanges_screened_total", "model") == {"fast", "slow"}
    assert values(series, "trace_spans_total", "outcome") == {"exported", "failed", "dropped"}


def test_each_process_tells_what_it_takes(one: Installation) -> None:
    series = scrape(one)
    for name in ("process_cpu_seconds_total", "process_open_fds", "process_resident_memory_bytes"):
        assert values(series, name, "process") == {*PROCESSES}, name
    assert len(values(series, "build_info", "version")) == 1


def test_a_trace_goes_from_the_caller_over_kafka_to_the_alert(
    one: Installation, receiver: Receiver
) -> None:
    exchange = ask(one, f"00-{TRACE_ID}-{PARENT_ID}-01")

    def spans() -> dict[str, tuple[str, Any]]:
        found = receiver.by_service()
        mine = [it for it in found if attributes(it[1])["watchgate.exchange"] == exchange]
        return {span.name: (service, span) for service, span in mine}

    wanted = {
        "chat fast": "watchgate-gateway",
        "screen prompt": "watchgate-screener",
        "screen answer": "watchgate-screener",
        "enforce prompt": "watchgate-enforcer",
    }
    until(lambda: {name: it[0] for name, it in spans().items()} == wanted, 60)
    found = {name: span for name, (_, span) in spans().items()}
    assert {span.trace_id.hex() for span in found.values()} == {TRACE_ID}
    gateway = found.pop("chat fast")
    assert gateway.parent_span_id.hex() == PARENT_ID
    assert {span.parent_span_id for span in found.values()} == {gateway.span_id}
    told = attributes(found["enforce prompt"])
    assert told["messaging.system"] == "kafka"
    assert told["watchgate.action"] == "page"
    assert told["watchgate.points"] == ["cascade/any/prompt/page"]
    assert attributes(found["screen answer"])["watchgate.part"] == "answer"
    assert not any(CANARY.encode() in body for body in receiver.bodies)


def test_what_a_caller_wants_unrecorded_no_process_records(
    one: Installation, receiver: Receiver
) -> None:
    served = ask(one, f"00-{'a' * 32}-{PARENT_ID}-00")
    until(lambda: sum(v.exchange_id == served and v.completes for v in one.verdicts()) == 2, 60)
    ask(one, f"00-{'b' * 32}-{PARENT_ID}-01")  # comes behind it everywhere
    until(lambda: "b" * 32 in {span.trace_id.hex() for span in receiver.spans()}, 60)
    assert "a" * 32 not in {span.trace_id.hex() for span in receiver.spans()}


def counters(one: Installation) -> Series:
    """Return what only grows, but for what a process tells of itself."""
    return {
        it: value
        for it, value in scrape(one).items()
        if it[0].endswith(("_total", "_count", "_bucket"))
        and not it[0].startswith(("watchgate_process_", "watchgate_event_loop_"))
    }


def folder_of_metrics(one: Installation) -> Path:
    return Path((one.data_dir / "up.lock").read_text()) / "metrics"


def at_rest(one: Installation) -> Series:
    """Return the counters once nothing changes them any more."""
    found: list[Series] = []

    def still() -> bool:
        found.append(counters(one))
        return len(found) > 3 and found[-1] == found[-2] == found[-3]

    def still_for_a_while() -> bool:
        time.sleep(0.6)  # the gateway's own are a second behind
        return still()

    until(still_for_a_while, 60)
    return found[-1]


def test_counters_of_the_dead_are_neither_lost_nor_counted_twice_and_files_do_not_pile_up(
    one: Installation,
) -> None:
    for _ in range(3):
        one.chat("How do plants drink?")
    before, files = at_rest(one), sorted(it.name for it in folder_of_metrics(one).iterdir())
    assert before["watchgate_exchanges_served_total", frozenset({("model", "fast")})] >= 3
    killed = {role: one.kill(role) for role in ("gateway", "screener", "enforcer", "shipper")}
    for role, old in killed.items():
        one.wait_restarted(role, old)
    until(lambda: one.chat_status() == 200, 60)
    after = at_rest(one)
    assert set(before) <= set(after)
    lost = {it: (value, after[it]) for it, value in before.items() if after[it] < value}
    assert lost == {}
    served = ("watchgate_exchanges_served_total", frozenset({("model", "fast")}))
    assert after[served] == before[served] + 1  # the one that asked whether it serves again
    assert sorted(it.name for it in folder_of_metrics(one).iterdir()) == files
