"""A worker that is listened to works as it does alone, whatever happens to who listens."""

from collections.abc import Callable
from typing import Any

import pytest

from vllm_probe.errors import NotArmed
from vllm_probe.hooks import ARMED, listen


class Reader:
    """Keeps what it hears, and may fail at it."""

    def __init__(self, heard: list[str], fails_at: str = "") -> None:
        self._heard = heard
        self._fails_at = fails_at

    def _hear(self, what: str) -> None:
        self._heard.append(what)
        if what == self._fails_at:
            raise RuntimeError("what a reader did not expect")

    def before(self, scheduled: str) -> None:
        self._hear(f"before {scheduled}")

    def after(self, scheduled: str) -> None:
        self._hear(f"after {scheduled}")

    def end(self) -> None:
        self._heard.append("end")


@pytest.fixture
def heard() -> list[str]:
    """What was done, in order."""
    return []


def worker_of(heard: list[str], arm: Callable[[Any], Reader]) -> Any:  # noqa: ANN401
    """Return a worker of a class of its own, that is listened to."""

    class Worker:
        def load_model(self) -> str:
            heard.append("load")
            return "loaded"

        def execute_model(self, scheduled: str) -> str:
            heard.append(f"execute {scheduled}")
            return f"output of {scheduled}"

        def reload_weights(self, path: str) -> str:
            heard.append(f"weights of {path}")
            return "reloaded"

    listen(Worker, arm)
    listen(Worker, arm)  # vLLM may load a plugin more than once
    return Worker()


def test_each_step_is_heard_before_and_after(heard: list[str]) -> None:
    worker = worker_of(heard, lambda _: Reader(heard))
    assert worker.load_model() == "loaded"
    assert worker.execute_model("1") == "output of 1"
    assert heard == ["load", "before 1", "execute 1", "after 1"]


@pytest.mark.parametrize("fails_at", ["before 1", "after 1"])
def test_a_reader_that_fails_is_asked_no_more_and_the_gateways_know(
    heard: list[str], fails_at: str
) -> None:
    worker = worker_of(heard, lambda _: Reader(heard, fails_at))
    worker.load_model()
    assert worker.execute_model("1") == "output of 1"
    assert worker.execute_model("2") == "output of 2"
    assert heard[heard.index(fails_at) :] == [
        fails_at,
        "end",
        *(["execute 1"] if fails_at == "before 1" else []),
        "execute 2",
    ]


@pytest.mark.parametrize("error", [NotArmed("others"), RuntimeError("what nobody expected")])
def test_a_worker_that_cannot_be_armed_works_on(heard: list[str], error: Exception) -> None:
    def arm(_: object) -> Reader:
        raise error

    worker = worker_of(heard, arm)
    assert worker.load_model() == "loaded"
    assert worker.execute_model("1") == "output of 1"
    assert heard == ["load", "execute 1"]


def test_a_model_that_is_loaded_anew_is_read_by_another_reader(heard: list[str]) -> None:
    worker = worker_of(heard, lambda _: Reader(heard))
    worker.load_model()
    first = getattr(worker, ARMED)
    worker.load_model()
    assert heard == ["load", "end", "load"]
    assert getattr(worker, ARMED) is not first


def test_weights_that_change_under_way_end_the_reading(heard: list[str]) -> None:
    worker = worker_of(heard, lambda _: Reader(heard))
    worker.load_model()
    assert worker.reload_weights("elsewhere") == "reloaded"
    worker.execute_model("1")
    worker.reload_weights("there")
    assert heard == ["load", "end", "weights of elsewhere", "execute 1", "weights of there"]
