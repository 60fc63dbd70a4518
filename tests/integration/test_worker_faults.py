"""Workers killed under traffic: nothing is lost, and nothing has its effect twice."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.events.schema import Verdict
from tests.real_parts.installation import Installation, installation
from tests.real_parts.serving import until

CALLERS = 3


@contextmanager
def traffic(one: Installation, pause_s: float = 0.05) -> Iterator[list[str]]:
    """Call from several threads until the block ends; gives the ids of what was served."""
    served: list[str] = []
    failures: list[BaseException] = []
    stop = threading.Event()

    def call(caller: int) -> None:
        try:
            for n in range(100_000):
                if stop.wait(pause_s):
                    return
                served.append(one.chat(f"question {n} of {caller}", stream=n % 2 == 0))
        except BaseException as error:  # noqa: BLE001  (raised where the test can see it)
            failures.append(error)

    threads = [threading.Thread(target=call, args=[caller]) for caller in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield served
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures, failures[0]


def wait_for_more(served: list[str], count: int) -> None:
    """Let so many more exchanges happen."""
    end = len(served) + count
    until(lambda: len(served) >= end, 60)


def completed(verdicts: list[Verdict]) -> set[tuple[str, str]]:
    return {(verdict.exchange_id, verdict.part) for verdict in verdicts if verdict.completes}


def pages(verdicts: list[Verdict]) -> set[str]:
    return {v.id for v in verdicts if any(c.action == "page" for c in v.crossed)}


@pytest.mark.parametrize("role", ["screener", "enforcer"])
def test_a_worker_killed_at_any_moment_screens_all_and_acts_once(tmp_path: Path, role: str) -> None:
    chance = random.Random(f"{role} 1")  # noqa: S311  (moments, not secrets)
    with installation(tmp_path) as one:
        with traffic(one) as served:
            for _ in range(3):
                wait_for_more(served, chance.randint(5, 40))
                time.sleep(chance.random() * 0.3)  # any moment of a turn is as good as another
                one.wait_restarted(role, one.kill(role))
            wait_for_more(served, 10)
        wanted = {(id_, part) for id_ in served for part in ("prompt", "answer")}
        until(lambda: wanted <= completed(one.verdicts()), 60)
        until(lambda: one.alert_count() == len(pages(one.verdicts())), 60)
        until(lambda: one.metric("watchgate_exchanges_screened_total") >= len(served), 60)
        assert one.metric("watchgate_coverage_gap_exchanges") == 0
        assert one.metric("watchgate_dead_letters_total") == 0
        assert {v.exchange_id for v in one.verdicts()} >= set(served)


def test_a_screener_that_starts_again_makes_the_same_verdicts(tmp_path: Path) -> None:
    with installation(tmp_path) as one:
        exchange_id = one.chat("the same words")
        until(lambda: len(completed(one.verdicts())) >= 2)
        one.wait_restarted("screener", one.kill("screener"))
        one.stop()
        (one.data_dir / "journal" / "groups" / "screener.json").unlink()  # as if never read
        before = {v.id for v in one.verdicts()}
        count = len(one.verdicts()) + len(before)
        one.start()
        until(lambda: len(one.verdicts()) >= count, 60)
        assert {v.id for v in one.verdicts()} == before
        assert exchange_id in {v.exchange_id for v in one.verdicts()}
        until(lambda: one.metric("watchgate_consumer_lag_records", group="enforcer") == 0)
        assert one.alert_count() == len(pages(one.verdicts()))
