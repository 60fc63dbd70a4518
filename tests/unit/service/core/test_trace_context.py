"""What a traceparent says."""

import pytest

from service.core.trace_context import sampled

IDS = f"{'a' * 32}-{'b' * 16}"


@pytest.mark.parametrize("given", [f"00-{IDS}-01", f"00-{IDS}-03", f"cc-{IDS}-ff"])
def test_the_last_bit_says_that_a_trace_is_to_be_recorded(given: str) -> None:
    assert sampled(given) == given


@pytest.mark.parametrize(
    "given",
    [None, "", f"00-{IDS}-00", f"00-{IDS}-02", f"ff-{IDS}-01", f"00-{IDS}-01-more", f"00-{IDS}-1",
     f"00-{IDS.upper()}-01", "00-é-01", "1"],
)  # fmt: skip
def test_what_is_not_sampled_or_not_of_the_form_is_not_recorded(given: str | None) -> None:
    assert sampled(given) is None
