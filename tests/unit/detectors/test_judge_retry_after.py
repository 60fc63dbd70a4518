"""What `Retry-After` says: seconds, or a date in one of HTTP's three forms."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.judge.retry_after import seconds_until

NOW = 784_111_770.0
"""Sun, 06 Nov 1994 08:49:30 GMT."""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("9" * 400, math.inf),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 7.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 7.0),
        ("Sun Nov  6 08:49:37 1994", 7.0),
        ("Sun, 06 Nov 1994 08:49:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
    ],
)
def test_seconds_and_dates_are_understood(value: str, expected: float | None) -> None:
    assert seconds_until(value, NOW) == expected


@given(st.text(max_size=60) | st.from_regex(r"\w{3}, \d+ \w{3} \d+ \d+:\d+:\d+ [+-]?\d+"))
def test_whatever_stands_there_is_a_time_or_nothing(value: str) -> None:
    found = seconds_until(value, NOW)
    assert found is None or found >= 0
