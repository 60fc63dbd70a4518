"""Logs: one JSON object a line."""

import json
import logging
import sys

from service.telemetry.logs import JsonFormatter


def line_of(message: str, *args: object, extra: dict[str, object] | None = None) -> str:
    logger = logging.getLogger("tests.logs")
    record = logger.makeRecord("l", logging.WARNING, "f", 1, message, args, None, extra=extra)
    return JsonFormatter("gateway").format(record)


def test_a_record_is_one_line_of_json_with_what_extra_holds() -> None:
    line = line_of("a %s\nb", "word", extra={"exchange_id": "ex-1", "odd": object})
    assert "\n" not in line
    said = json.loads(line)
    assert said["message"] == "a word\nb"
    assert (said["level"], said["process"], said["logger"]) == ("warning", "gateway", "l")
    assert said["exchange_id"] == "ex-1"
    assert said["at"].endswith("+00:00")


def test_what_extra_holds_replaces_nothing_that_a_line_always_has() -> None:
    said = json.loads(line_of("x", extra={"level": "debug", "at": "never", "color_message": "y"}))
    assert said["level"] == "warning"
    assert said["at"] != "never"
    assert "color_message" not in said


def test_of_an_exception_only_the_kind_is_told() -> None:
    try:
        raise ValueError("what a caller wrote")
    except ValueError:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": sys.exc_info()})
    line = JsonFormatter("gateway").format(record)
    assert json.loads(line)["exception"] == "ValueError"
    assert "what a caller wrote" not in line
