import logging

import pytest

from service.events.kafka.quiet import quieten


def test_the_library_does_not_log_what_it_sends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    quieten()

    logging.getLogger("kafka.producer.kafka").debug("Sending (value=%r)", "a prompt")

    assert "a prompt" not in caplog.text


def test_an_error_is_told_once_and_not_a_hundred_times(caplog: pytest.LogCaptureFixture) -> None:
    quieten()
    quieten()

    for attempt in range(100):
        logging.getLogger("kafka.net.manager").error("Connection failed: %d", attempt)

    assert [record.getMessage() for record in caplog.records] == ["Connection failed: 0"]
    assert caplog.records[0].levelname == "WARNING"
