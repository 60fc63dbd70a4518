"""From a verdict to a real Alertmanager, and to the pager behind it."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.events.log import Position, Received
from service.events.schema import Crossing, Verdict, to_record
from service.store import Store, open_store
from service.store.alerts import list_alerts, list_deliveries
from service.workers.alerts import AlertSender, Pace
from service.workers.enforcer import Enforcer
from tests.real_parts.alertmanager import Alertmanager, Pager, alertmanager
from tests.real_parts.kafka_broker import wait_until

SEEN_S = 30.0
LONG = Pace(resend_s=300.0, hold_s=3600.0)
LABELS = {
    "alertname": "WatchgateMisuse",
    "model": "smollm2",
    "detector": "lexical",
    "category": "any",
    "part": "prompt",
    "point": "lexical/any/prompt/page",
    "enforced": "observed",
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/watchgate.db")
    yield opened
    opened.close()


@pytest.fixture
def first(tmp_path: Path) -> Iterator[tuple[Alertmanager, Pager]]:
    with alertmanager(tmp_path / "first") as started:
        yield started


@pytest.fixture
def second(tmp_path: Path) -> Iterator[tuple[Alertmanager, Pager]]:
    with alertmanager(tmp_path / "second") as started:
        yield started


def received(number: int, *, score: float, threshold: float = 0.97) -> Received:
    crossed = (
        (Crossing("lexical/any/prompt/page", "any", score, threshold, "page"),)
        if score >= threshold
        else ()
    )
    verdict = Verdict(
        exchange_id=f"ex-{number}",
        at=time.time(),
        account="acme-account",
        project="acme-project",
        key="key_acme",
        model="smollm2",
        surface="chat",
        tier=1,
        id=f"verdict-{number}",
        part="prompt",
        detector="lexical",
        version="1",
        digest="00" * 32,
        scores={"any": score},
        crossed=crossed,
    )
    return Received(to_record(verdict), Position("test", 0, number))


def enforce(store: Store, *batch: Received) -> None:
    Enforcer(store, clock=time.time).handle(batch)


def send(store: Store, *urls: str, pace: Pace = LONG, now: float | None = None) -> list[bool]:
    """Take one step, as a sender that was just started would."""
    heard: list[bool] = []
    with AlertSender(store, urls, pace, on_delivery=heard.append) as sender:
        sender.step(time.time() if now is None else now)
    return heard


def test_a_verdict_over_the_point_is_shown_and_pages(
    store: Store, first: tuple[Alertmanager, Pager]
) -> None:
    one, pager = first
    one.start()
    enforce(store, received(1, score=0.99), received(2, score=0.98))
    assert send(store, one.url) == [True]
    wait_until(lambda: one.shows(LABELS), SEEN_S, "Alertmanager shows the alert")
    annotations = one.alerts()[0]["annotations"]
    assert annotations["count"] == "2"
    assert annotations["score"] == "0.990"
    assert annotations["exchange"] == "ex-2"
    wait_until(lambda: pager.heard("firing"), SEEN_S, "the pager is called")
    assert "acme" not in str(pager.notifications)


def test_a_benign_verdict_raises_nothing(store: Store, first: tuple[Alertmanager, Pager]) -> None:
    one, _ = first
    one.start()
    enforce(store, received(1, score=0.2))
    assert send(store, one.url) == []
    assert one.alerts() == []


def test_an_alertmanager_that_was_away_is_told_once_it_is_there(
    store: Store, first: tuple[Alertmanager, Pager]
) -> None:
    one, _ = first
    enforce(store, received(1, score=0.99))
    now = time.time()
    assert send(store, one.url, now=now) == [False]
    one.start()
    assert send(store, one.url, now=now + 0.5) == []
    assert send(store, one.url, now=now + 1.0) == [True]
    wait_until(lambda: one.shows(LABELS), SEEN_S, "Alertmanager shows the alert")


def test_an_alert_that_ended_while_the_alertmanager_was_away_pages_all_the_same(
    store: Store, first: tuple[Alertmanager, Pager]
) -> None:
    one, pager = first
    pace = Pace(resend_s=60.0, hold_s=600.0)
    enforce(store, received(1, score=0.99))
    now = time.time()
    send(store, one.url, pace=pace, now=now)
    send(store, one.url, pace=pace, now=now + 601)
    with store.read() as connection:
        assert list_alerts(connection) == []
    one.start()
    assert send(store, one.url, pace=pace, now=now + 700) == [True]
    wait_until(lambda: pager.heard("firing"), SEEN_S, "the pager is called")


def test_one_alertmanager_that_is_away_does_not_keep_the_other_from_hearing(
    store: Store, first: tuple[Alertmanager, Pager], second: tuple[Alertmanager, Pager]
) -> None:
    away, there = first[0], second[0]
    there.start()
    enforce(store, received(1, score=0.99))
    assert sorted(send(store, away.url, there.url)) == [False, True]
    wait_until(lambda: there.shows(LABELS), SEEN_S, "the one that is there shows the alert")
    with store.read() as connection:
        told = {d.url: d for d in list_deliveries(connection)[1]}
    assert told[there.url].firing_acked_at is not None
    assert told[away.url].error == "connection refused"


def test_the_end_of_an_alert_reaches_the_alertmanager_and_the_pager(
    store: Store, first: tuple[Alertmanager, Pager]
) -> None:
    one, pager = first
    one.start()
    enforce(store, received(1, score=0.99))
    stop = threading.Event()
    sender = AlertSender(store, [one.url], Pace(resend_s=1.0, hold_s=3.0))
    thread = threading.Thread(target=sender.run, args=[stop])
    thread.start()
    try:
        wait_until(lambda: pager.heard("firing"), SEEN_S, "the pager is called")
        wait_until(lambda: pager.heard("resolved"), SEEN_S, "the pager hears of the end")
        wait_until(lambda: not one.alerts(), SEEN_S, "Alertmanager shows it no more")
        wait_until(lambda: _is_done(store), SEEN_S, "the outbox is empty")
    finally:
        stop.set()
        thread.join(SEEN_S)
    assert not thread.is_alive()


def test_an_alertmanager_that_is_started_again_is_told_again(
    store: Store, first: tuple[Alertmanager, Pager]
) -> None:
    one, _ = first
    one.start()
    enforce(store, received(1, score=0.99))
    now = time.time()
    send(store, one.url, now=now)
    one.stop()
    assert send(store, one.url, now=now + 300) == [False]
    one.start()
    assert send(store, one.url, now=now + 301) == [True]
    wait_until(lambda: one.shows(LABELS), SEEN_S, "Alertmanager shows the alert")


def _is_done(store: Store) -> bool:
    with store.read() as connection:
        return all(d.resolved_acked_at for d in list_deliveries(connection)[1])
