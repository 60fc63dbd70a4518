"""Processes that die without warning, and processes that stand still."""

import os
import signal
import time
from typing import Final

from load_tests.faults.fault import Fault, Play
from load_tests.faults.stand import Stand
from tests.real_parts.kafka_broker import wait_until

BACK_S: Final = 90.0


def killed(role: str) -> Play:
    """SIGKILL, and once more when another process stands in its place."""

    def play(stand: Stand, seconds: float) -> None:
        for _ in range(2):
            before = stand.pid(role)
            stand.watchgate.kill(role)
            wait_until(lambda: stand.pid(role) not in {None, before}, BACK_S, f"a new {role}")  # noqa: B023
            time.sleep(seconds / 2)

    return play


def stopped(role: str) -> Play:
    """SIGSTOP: it holds what it holds, connections and locks too, and does nothing."""

    def play(stand: Stand, seconds: float) -> None:
        pid = stand.watchgate.pid(role)
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)

    return play


def _faults(role: str, stand: str) -> tuple[Fault, Fault]:
    return (
        Fault(
            f"{role}-killed",
            stand,
            f"kill -9 of the {role}, twice",
            killed(role),
            kills=True,
            bites=role == "gateway",
        ),
        Fault(f"{role}-stopped", stand, f"SIGSTOP of the {role} for {{seconds}} s", stopped(role)),
    )


FAULTS: Final = (
    *_faults("gateway", "one machine"),
    *_faults("screener", "one machine"),
    *_faults("enforcer", "one machine"),
    *_faults("shipper", "Kafka"),
)
