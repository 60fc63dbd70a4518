"""A judge and a real HTTP server that answers as a guard behind vLLM, well and badly."""

import contextlib
import dataclasses
import gc
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from detectors.api import Category, Detector, Part, Sample
from detectors.judge import Judge, JudgeConfig
from detectors.judge.errors import (
    Busy,
    JudgeError,
    Paused,
    Refused,
    TimedOut,
    TooLong,
    Unparseable,
    Unreachable,
)
from tests.real_parts.guard import DEADLINE_S, Answer, Asked, Guard, Script, classified, said

SAFE = said("Safety: Safe\nCategories: None")
UNSAFE = said("Safety: Unsafe\nCategories: Violent")
PROSE = said("I would rather not say.")
MARKER = "stand-in-violation"
SECRET: Final = "sk-not-to-be-seen"

Make = Callable[..., tuple[Guard, Judge]]


@pytest.fixture
def make() -> Iterator[Make]:
    """Start a guard that follows a script, and a judge that asks it."""
    open_parts: list[tuple[Guard, Judge]] = []

    def start(script: Script, **changed: Any) -> tuple[Guard, Judge]:  # noqa: ANN401
        guard = Guard(script).__enter__()
        judge = Judge(dataclasses.replace(config_of(guard.url), **changed))
        open_parts.append((guard, judge))
        return guard, judge

    yield start
    for guard, judge in open_parts:
        guard.ending.set()
        judge.close()
        guard.__exit__(None, None, None)


def config_of(url: str) -> JudgeConfig:
    return JudgeConfig(name="judge", url=url, model="guard", family="qwen3guard", timeout_s=20)


def by_marker(asked: Asked) -> Answer:
    return UNSAFE if MARKER in asked.said else SAFE


def prompts(*texts: str) -> list[Sample]:
    return [Sample(text, Part.PROMPT) for text in texts]


def test_a_batch_is_scored_in_order_and_each_as_it_would_be_alone(make: Make) -> None:
    guard, judge = make(by_marker)
    detector: Detector = judge
    samples = prompts("one", MARKER, "two", MARKER, "one")
    together = detector.score(samples)
    assert [it[Category.ANY] for it in together] == [0.05, 0.95, 0.05, 0.95, 0.05]
    assert len(guard.asked) == 3, "a text that comes twice is asked about once"
    assert [detector.score([it])[0] for it in samples] == list(together)


def test_vllm_is_asked_as_it_wants_to_be(make: Make) -> None:
    guard, judge = make(by_marker, api_key=SECRET)
    judge.score(prompts("one"))
    [asked] = guard.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == f"Bearer {SECRET}"
    assert asked.body["model"] == "guard"
    assert (asked.body["temperature"], asked.body["logprobs"]) == (0, True)


def test_an_address_may_end_in_v1(make: Make) -> None:
    guard, _ = make(by_marker)
    judge = Judge(config_of(guard.url + "/v1/"))
    judge.score(prompts("one"))
    judge.close()
    assert guard.asked[0].path == "/v1/chat/completions"


def test_a_classifier_is_asked_at_its_own_path(make: Make) -> None:
    guard, judge = make(
        lambda asked: classified([0.1, 0.9] if MARKER in asked.said else [0.8, 0.2]),
        family="classify",
        labels=("benign", "attack"),
        categories={"attack": Category.JAILBREAK},
    )
    found = judge.score(prompts("one", MARKER))
    assert [it[Category.JAILBREAK] for it in found] == [0.2, 0.9]
    assert {it.path for it in guard.asked} == {"/classify"}
    assert judge.usage.totals().prompt_tokens == 14


def test_no_more_is_asked_at_once_than_allowed_and_as_much_as_allowed(make: Make) -> None:
    full = threading.Barrier(3)

    def together(_: Asked) -> Answer:
        full.wait(DEADLINE_S)  # breaks, and fails the test, unless three are asked at once
        return SAFE

    guard, judge = make(together, max_concurrency=3)
    assert len(judge.score(prompts(*(str(number) for number in range(12))))) == 12
    assert guard.most_at_once == 3


def samples_in_memory(chars: int) -> int:
    return sum(isinstance(it, Sample) and len(it.text) == chars for it in gc.get_objects())


@pytest.mark.parametrize("answer", [SAFE, PROSE])
def test_only_what_is_being_asked_is_cut_into_windows(make: Make, answer: Answer) -> None:
    most: list[int] = []
    alone = threading.Lock()  # each count holds all that it counts: no two may overlap

    def counting(_: Asked) -> Answer:
        with alone:
            most.append(samples_in_memory(97))
        return answer

    _, judge = make(counting, max_chars=97, overlap_chars=0, max_concurrency=3)
    texts = prompts(*(f"{number}" * 970 for number in range(1, 7)))
    with contextlib.suppress(Unparseable):
        judge.score(texts)
    assert len(most) == 60
    assert max(most) < 20, "those of three threads, as many just told of, and the next in line"


def test_a_judge_that_is_closed_scores_nothing_any_more(make: Make) -> None:
    _, judge = make(by_marker, max_concurrency=1)
    judge.close()
    for _ in range(3):
        with pytest.raises(RuntimeError, match="shutdown"):
            judge.score(prompts("one"))


def test_the_highest_window_of_a_long_text_counts_wherever_it_stands(make: Make) -> None:
    guard, judge = make(by_marker, max_chars=100, overlap_chars=25)
    for at in (0, 70, 85, 500, 982):
        text = "x" * at + MARKER + "x" * (1_000 - at - len(MARKER))
        assert judge.score(prompts(text))[0][Category.VIOLENCE] == 0.95, at
    assert max(len(it.said) for it in guard.asked) == 100


def test_a_text_of_too_many_windows_is_an_error_and_nothing_is_asked(make: Make) -> None:
    guard, judge = make(by_marker, max_chars=100, overlap_chars=0, max_windows=9)
    assert judge.score(prompts("x" * 900))
    asked = len(guard.asked)
    with pytest.raises(TooLong):
        judge.score(prompts("x" * 901))
    assert len(guard.asked) == asked
    assert judge.usage.totals().errors == {"too_long": 1}


def test_the_empty_text_needs_no_guard(make: Make) -> None:
    guard, judge = make(by_marker)
    assert judge.score([]) == []
    [found] = judge.score(prompts(""))
    assert found == dict.fromkeys(judge.categories, 0.0)
    assert guard.asked == []


@pytest.mark.parametrize(
    "text", ["\ud800", "\x00", "\u202e\u0301" * 3_000, "🙂" * 9_000, "<|" * 99]
)
def test_any_text_is_judged(make: Make, text: str) -> None:
    _, judge = make(by_marker)
    assert judge.score(prompts(text))[0][Category.ANY] == 0.05


def test_one_bad_sample_fails_the_batch_and_then_itself_alone(make: Make) -> None:
    guard, judge = make(lambda asked: PROSE if "bad" in asked.said else by_marker(asked))
    samples = prompts("one", "bad", MARKER)
    with pytest.raises(Unparseable):
        judge.score(samples)
    asked = len(guard.asked)
    assert judge.score(samples[:1])[0][Category.ANY] == 0.05
    with pytest.raises(Unparseable):
        judge.score(samples[1:2])
    assert judge.score(samples[2:])[0][Category.ANY] == 0.95
    assert len(guard.asked) == asked == 3, "what is known is not asked again"
    assert judge.usage.totals().errors == {"unparseable": 1}


def test_what_is_known_of_a_failed_batch_is_soon_forgotten(make: Make) -> None:
    now = 0.0
    is_well = False
    guard, _ = make(lambda asked: by_marker(asked) if is_well else PROSE)
    judge = Judge(config_of(guard.url), clock=lambda: now)
    with pytest.raises(Unparseable):
        judge.score(prompts("one", "two"))
    is_well, now = True, 11.0
    assert judge.score(prompts("one"))
    judge.close()


@pytest.mark.parametrize(
    ("answer", "error", "kind"),
    [
        (PROSE, Unparseable, "unparseable"),
        (Answer(b"<html>"), Unparseable, "unparseable"),
        (said("Safety: Saf", finish_reason="length"), Unparseable, "unparseable"),
        (Answer(b"{}", 400), Refused, "refused"),
        (Answer(b"{}", 401), Refused, "refused"),
        (Answer(b"{}", 404), Refused, "refused"),
        (Answer(b"{}", 500), Refused, "refused"),
        (Answer(b"", 302, {"location": "http://127.0.0.1:9/"}), Refused, "refused"),
        (Answer(b"{}", 429), Busy, "busy"),
        (Answer(b"{}", 429, {"retry-after": "3600"}), Busy, "busy"),
        (Answer(b"{}", 503, {"retry-after": "3600"}), Busy, "busy"),
    ],
)
def test_what_asking_again_does_not_change_is_asked_once(
    make: Make, answer: Answer, error: type[JudgeError], kind: str
) -> None:
    guard, judge = make(lambda _: answer, retries=3)
    with pytest.raises(error):
        judge.score(prompts("one"))
    assert len(guard.asked) == 1
    assert judge.usage.totals().errors == {kind: 1}


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"{}", 503),
        Answer(b"{}", 503, {"retry-after": "0"}),
        Answer(b"{}", 429, {"retry-after": "0"}),
        Answer(b"{", breaks_off=True),
    ],
)
def test_a_guard_that_is_away_for_a_moment_is_asked_again(make: Make, answer: Answer) -> None:
    answers = [answer, answer, UNSAFE]
    guard, judge = make(lambda _: answers.pop(0), retries=2)
    assert judge.score(prompts("one"))[0][Category.ANY] == 0.95
    totals = judge.usage.totals()
    assert (len(guard.asked), totals.requests, totals.retries) == (3, 3, 2)
    assert totals.errors == {}


@pytest.mark.parametrize("status", [429, 503])
def test_retries_come_to_an_end(make: Make, status: int) -> None:
    guard, judge = make(lambda _: Answer(b"{}", status, {"retry-after": "0"}), retries=1)
    with pytest.raises(Busy):
        judge.score(prompts("one"))
    assert len(guard.asked) == 2


def test_a_guard_that_is_not_there_is_unreachable() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        judge = Judge(dataclasses.replace(config_of(url), retries=1))
        with pytest.raises(Unreachable, match="ConnectError"):
            judge.score(prompts("one"))
        judge.close()
    assert judge.usage.totals().requests == 2


def test_a_guard_that_takes_no_connection_is_unreachable() -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)  # a queue of one that nobody empties: the kernel drops what comes after
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        judge = Judge(dataclasses.replace(config_of(url), timeout_s=0.5, retries=0))
        with pytest.raises(Unreachable, match="ConnectTimeout"):
            judge.score(prompts("one"))
        judge.close()


def test_a_silent_guard_is_given_up_after_the_timeout(make: Make) -> None:
    done = threading.Event()

    def silent(_: Asked) -> Answer:
        done.wait(DEADLINE_S)
        return SAFE

    _, judge = make(silent, timeout_s=0.3, retries=3)
    started = time.monotonic()
    with pytest.raises(TimedOut):
        judge.score(prompts("one"))
    done.set()
    assert time.monotonic() - started < 10


def test_a_guard_that_trickles_is_given_up_after_the_timeout(make: Make) -> None:
    _, judge = make(lambda _: dataclasses.replace(SAFE, drip_s=0.1), timeout_s=0.5)
    started = time.monotonic()
    with pytest.raises(TimedOut):
        judge.score(prompts("one"))
    assert time.monotonic() - started < 10, "the whole would take half a minute"


def test_an_endless_answer_is_not_kept_in_memory(make: Make) -> None:
    _, judge = make(lambda _: Answer(b" " * (9 << 20)))
    with pytest.raises(Unparseable, match="longer than"):
        judge.score(prompts("one"))


def test_a_guard_that_is_down_is_left_alone_instead_of_waited_for_in_turn(make: Make) -> None:
    now = 0.0
    guard, _ = make(lambda _: Answer(b"{}", 429))
    judge = Judge(dataclasses.replace(config_of(guard.url), max_concurrency=1), clock=lambda: now)
    samples = prompts(*(str(number) for number in range(50)))
    with pytest.raises(Busy):
        judge.score(samples)
    assert len(guard.asked) == 4
    assert judge.usage.totals().errors == {"busy": 4, "paused": 46}
    with pytest.raises(Paused):
        judge.score(prompts("another"))
    now = 10.0
    with pytest.raises(Busy):
        judge.score(prompts("another"))
    judge.close()


def test_neither_texts_nor_the_key_are_in_logs_and_errors(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    text = "a-text-that-nobody-is-to-see"
    for answer in (
        PROSE,
        Answer(b"{}", 400),
        Answer(b"{}", 503),
        said(text),
        Answer(text.encode()),
    ):
        _, judge = make(lambda _, answer=answer: answer, retries=0, api_key=SECRET)
        with pytest.raises(JudgeError) as caught:
            judge.score(prompts(text))
        shown = str(caught.value) + repr(caught.value.__cause__) + caplog.text + repr(judge)
        assert text not in shown
        assert SECRET not in shown


def test_tokens_are_counted_and_priced_whatever_the_answer_says(make: Make) -> None:
    _, judge = make(
        lambda asked: PROSE if "bad" in asked.said else SAFE,
        prompt_price_per_million=1_000_000,
        completion_price_per_million=2_000_000,
    )
    judge.score(prompts("one"))
    with pytest.raises(Unparseable):
        judge.score(prompts("bad"))
    totals = judge.usage.totals()
    assert (totals.prompt_tokens, totals.completion_tokens) == (200, 20)
    assert totals.cost == pytest.approx(240)
    assert totals.by_label_alone == 1
    assert totals.seconds > 0


def test_a_proxy_of_the_environment_does_not_see_what_is_judged(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    _, judge = make(by_marker)
    [scores] = judge.score(prompts("one"))
    assert scores[Category.ANY] == 0.05


def test_a_category_that_one_window_alone_names_keeps_its_score(make: Make) -> None:
    def first_alone(asked: Asked) -> Answer:
        if MARKER in asked.said:
            return said("Safety: Unsafe\nCategories: Jailbreak\nRefusal: No")
        return said("Safety: Safe\nCategories: None\nRefusal: No")

    _, judge = make(first_alone, max_chars=100, overlap_chars=0)
    [scores] = judge.score([Sample(MARKER + " " * 300, Part.ANSWER)])
    assert scores[Category.JAILBREAK] == scores[Category.ANY] == 0.95
