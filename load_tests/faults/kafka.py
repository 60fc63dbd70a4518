"""Kafka away, slow, lossy, cut off, and its groups rebalancing."""

import time
from typing import Final

from load_tests.faults.fault import Fault, Play
from load_tests.faults.stand import Stand
from service.events.log import Topic
from tests.real_parts.kafka_broker import KafkaBroker
from tests.real_parts.tcp_gate import Weather
from tests.real_parts.watchgate import Watchgate

STAND: Final = "Kafka"
CUT_EVERY_S: Final = 2.0
NOBODY: Final = "http://127.0.0.1:1"
SHARED: Final = ("store", "event_log", "models", "operating_points", "screening")
"""What another machine's settings have in common with ours."""


def _broker(stand: Stand) -> KafkaBroker:
    broker: KafkaBroker = stand.parts["broker"]
    return broker


def away(stand: Stand, seconds: float) -> None:
    """The broker is stopped, and started again with what it had."""
    _broker(stand).stop()
    try:
        time.sleep(seconds)
    finally:
        _broker(stand).start()


def cut_again_and_again(stand: Stand, seconds: float) -> None:
    """Every connection is reset, whatever is under way on it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        _broker(stand).cut()
        time.sleep(CUT_EVERY_S)


def bad(weather: Weather) -> Play:
    """A bad line."""

    def play(stand: Stand, seconds: float) -> None:
        with _broker(stand).behind(weather):
            time.sleep(seconds)

    return play


def rebalancing(stand: Stand, seconds: float) -> None:
    """Another machine's screener joins the group, dies, is started again and stays.

    What it has said is in that machine's journal; its shipper goes on. Members have names, so that
    one which stops keeps its partitions until its session expires, and the broker of the tests
    never lets one expire: a screener that stays away cannot be tried with it.
    """
    shared = {key: stand.watchgate.settings[key] for key in SHARED}
    other = Watchgate(stand.folder / "other", NOBODY, **shared)
    stand.others.append(other)
    stand.closing.callback(other.stop)
    other.start("screener", "shipper")
    time.sleep(seconds / 2)
    other.kill("screener")
    other.start("screener")
    time.sleep(seconds / 2)
    assert other.topic(Topic.VERDICTS), "the other screener was given nothing to do"


FAULTS: Final = (
    Fault("kafka-away", STAND, "the broker is stopped for {seconds} s", away),
    Fault(
        "kafka-cut",
        STAND,
        "all connections to Kafka reset every 2 s for {seconds} s",
        cut_again_and_again,
    ),
    Fault(
        "kafka-slow",
        STAND,
        "each piece on the line to Kafka comes 0.3 s late for {seconds} s",
        bad(Weather(delay_s=0.3)),
    ),
    Fault(
        "kafka-lossy",
        STAND,
        "a tenth of what is sent to and by Kafka is lost for {seconds} s",
        bad(Weather(lost_share=0.1)),
    ),
    Fault(
        "kafka-silent",
        STAND,
        "nothing comes through to or from Kafka for {seconds} s",
        bad(Weather(silent=True)),
    ),
    Fault(
        "kafka-rebalancing",
        STAND,
        "another machine's screener joins, is killed and starts again",
        rebalancing,
    ),
)
