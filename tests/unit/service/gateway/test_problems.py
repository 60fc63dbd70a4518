"""How errors are told."""

import inspect
import json
import logging

import pytest

from service import errors
from service.core.surfaces import errors_at
from service.core.surfaces.answers import Place
from service.core.surfaces.errors import (
    ANTHROPIC_ERRORS,
    OPENAI_ERRORS,
    RESPONSES_ERRORS,
    ErrorWords,
)
from service.gateway import problems
from service.gateway.http_connection import UpstreamSilent

RAISED = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.Refusal | errors.UpstreamError | errors.Interrupted)
    and kind not in {errors.Refusal, errors.LimitReached, errors.UpstreamError}
]


@pytest.mark.parametrize("kind", RAISED)
def test_every_error_of_a_request_has_a_status_and_a_code_of_its_own(
    kind: type[errors.WatchgateError],
) -> None:
    problem = problems.PROBLEMS[kind]
    assert 400 <= problem.status < 600
    assert problem.status not in {500, 501}
    assert problem.code.replace("_", "").isalpha()


def test_an_error_is_an_openai_error_object() -> None:
    error = errors.InvalidRequest("The field 'n' must be an integer.", param="n")
    assert json.loads(problems.error_body(error)) == {
        "error": {
            "message": "The field 'n' must be an integer.",
            "type": "invalid_request_error",
            "param": "n",
            "code": "invalid_request",
        }
    }
    assert problems.error_event(error) == b"data: " + problems.error_body(error) + b"\n\n"


def test_at_paths_of_anthropics_api_an_error_has_anthropics_shape() -> None:
    error = errors.ModelNotFound("There is no model 'x'.", param="model")
    shape = errors_at("/v1/messages/whatever")
    told = {
        "type": "error",
        "error": {
            "type": "not_found_error",
            "message": "There is no model 'x'.",
            "code": "model_not_found",
            "param": "model",
        },
    }
    assert json.loads(problems.error_body(error, shape)) == told
    event = problems.error_event(error, shape)
    assert event.startswith(b"event: error\ndata: ")
    assert json.loads(event.split(b"data: ")[1]) == told
    assert errors_at("/v1/chat/completions") is errors_at("/nowhere") is OPENAI_ERRORS


@pytest.mark.parametrize("kind", RAISED)
def test_every_status_has_a_type_of_anthropics(kind: type[errors.WatchgateError]) -> None:
    words = ErrorWords(problems.PROBLEMS[kind].status, "m", "t", "c")
    told = json.loads(ANTHROPIC_ERRORS.body(words))["error"]
    assert told["type"].endswith("_error") or told["type"] == "request_too_large"
    assert (told["type"] == "api_error") == (words.status == 502)


def test_an_event_of_an_error_continues_the_count_of_a_stream_of_responses() -> None:
    error = errors.UpstreamBroke("x")
    event = problems.error_event(error, RESPONSES_ERRORS, Place(begun=True, sequence=9))
    assert event.startswith(b"event: error\ndata: ")
    told = json.loads(event.split(b"data: ")[1])
    assert (told["type"], told["code"], told["sequence_number"]) == (
        "error",
        "upstream_unavailable",
        9,
    )


def test_a_special_case_of_an_error_is_told_as_the_general_one() -> None:
    assert problems.problem_of(UpstreamSilent("x")).status == 502


def test_the_words_of_upstreams_journals_and_bugs_are_for_operators() -> None:
    for error in (
        errors.UpstreamUnavailable("10.0.0.7 said no"),
        errors.JournalFull("10.0.0.7 said no"),
        RuntimeError("10.0.0.7 said no"),
    ):
        assert b"10.0.0.7" not in problems.error_body(error)
    assert problems.problem_of(RuntimeError()).status == 500


def test_headers_say_how_to_go_on() -> None:
    def headers(error: Exception) -> dict[bytes, bytes]:
        return dict(problems.error_headers(error))

    assert headers(errors.InvalidApiKey("x"))[b"www-authenticate"].startswith(b"Bearer")
    assert headers(errors.MethodNotAllowed("x", allow="POST"))[b"allow"] == b"POST"
    assert headers(errors.JournalFull("x"))[b"retry-after"] == b"5"
    assert set(headers(errors.NotFound("x"))) == {b"content-type"}


def test_only_what_nobody_foresaw_is_logged_and_without_its_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    problems.log_unforeseen(errors.NotFound("x"), "ex-1")
    assert not caplog.records
    try:
        raise ValueError("what a caller wrote")
    except ValueError as error:
        with caplog.at_level(logging.ERROR):
            problems.log_unforeseen(error, "ex-1")
    (record,) = caplog.records
    assert "what a caller wrote" not in repr(vars(record))
    assert vars(record)["error"] == "ValueError"
    assert vars(record)["exchange_id"] == "ex-1"
    assert "test_problems.py:" in vars(record)["place"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (errors.RateLimitExceeded("full"), {b"retry-after": b"1"}),
        (errors.RateLimitExceeded("full", retry_after_s=11.2), {b"retry-after": b"12"}),
        (errors.RateLimitExceeded("too large", is_final=True), {b"x-should-retry": b"false"}),
        (
            errors.BudgetExceeded("used up", retry_after_s=0.2, headers=[(b"x-some", b"1")]),
            {b"retry-after": b"1", b"x-should-retry": b"false", b"x-some": b"1"},
        ),
    ],
)
def test_a_limit_says_itself_when_another_try_makes_sense(
    error: errors.LimitReached, told: dict[bytes, bytes]
) -> None:
    headers = dict(problems.error_headers(error))
    assert headers == {b"content-type": b"application/json", **told}
    assert problems.problem_of(error).status == 429
