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

    # pytest listens at the library's logger as well; only ours reaches handlers of the root.
    ours = [record for record in caplog.records if record.name.startswith("service.")]
    assert [(one.levelname, one.getMessage()) for one in ours] == [
        ("WARNING", "Connection failed: 0")
    ]
    assert not logging.getLogger("kafka").propagate
