"""No character of a long text goes unseen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.api import Part, Sample
from detectors.judge.errors import TooLong
from detectors.judge.windows import count, cut, windows_of


@given(st.text(max_size=200), st.integers(4, 50), st.data())
def test_windows_put_together_are_the_text(text: str, size: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, size // 4))
    windows = list(cut(text, size, overlap))
    assert len(windows) == count(text, size, overlap)
    assert windows[0] + "".join(window[overlap:] for window in windows[1:]) == text
    assert max(map(len, windows)) <= size


def test_a_short_text_is_one_window() -> None:
    sample = Sample("12345678", Part.PROMPT)
    assert list(windows_of(sample, 8, 2, 1)) == [sample]


@given(st.text("ab", max_size=60), st.text("cd", max_size=60))
def test_each_window_of_an_answer_is_seen_with_each_of_its_prompt(text: str, prompt: str) -> None:
    windows = list(windows_of(Sample(text, Part.EXCHANGE, prompt), 16, 2, 10_000))
    assert all(len(it.text) + len(it.prompt) <= 16 for it in windows)
    answers = list(dict.fromkeys(it.text for it in windows))
    prompts = list(dict.fromkeys(it.prompt for it in windows))
    assert {(it.text, it.prompt) for it in windows} == {(a, p) for a in answers for p in prompts}
    assert {char for it in answers for char in it} == set(text)
    assert {char for it in prompts for char in it} == set(prompt)


def test_a_short_prompt_leaves_the_window_to_the_answer() -> None:
    [window] = windows_of(Sample("a" * 14, Part.EXCHANGE, "bb"), 16, 2, 1)
    assert (len(window.text), len(window.prompt)) == (14, 2)


@pytest.mark.parametrize("part", [Part.PROMPT, Part.EXCHANGE])
def test_too_many_windows_are_an_error_that_says_what_to_raise(part: Part) -> None:
    with pytest.raises(TooLong, match="max_windows is 3"):
        windows_of(Sample("secret" * 100, part, "secret" * 100), 16, 2, 3)
