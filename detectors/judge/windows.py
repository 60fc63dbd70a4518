"""Long samples are judged in overlapping windows, so that no character goes unseen."""

from collections.abc import Iterator

from detectors.api import Part, Sample
from detectors.judge.errors import TooLong


def windows_of(sample: Sample, max_chars: int, overlap_chars: int, limit: int) -> Iterator[Sample]:
    """Cut a sample into samples of at most `max_chars` characters each, at least one.

    Each is cut when it is asked for; that there are too many is told at once.

    Of an exchange prompt and answer share the window: each window of the answer is judged with
    each of the prompt, as any of them may be what it answers.

    Raises:
        TooLong: there would be more than `limit`.
    """
    if sample.part is not Part.EXCHANGE:
        _check(count(sample.text, max_chars, overlap_chars), limit)
        return (Sample(it, sample.part) for it in cut(sample.text, max_chars, overlap_chars))
    for_answer = max(max_chars // 2, max_chars - len(sample.prompt))
    for_prompt = max_chars - min(for_answer, len(sample.text))
    answers = count(sample.text, for_answer, overlap_chars)
    _check(answers * count(sample.prompt, for_prompt, overlap_chars), limit)
    return (
        Sample(answer, sample.part, prompt)
        for answer in cut(sample.text, for_answer, overlap_chars)
        for prompt in cut(sample.prompt, for_prompt, overlap_chars)
    )


def cut(text: str, size: int, overlap: int) -> Iterator[str]:
    """Yield windows of `size` characters that share `overlap` with their neighbours."""
    for number in range(count(text, size, overlap)):
        start = number * (size - overlap)
        yield text[start : start + size]


def count(text: str, size: int, overlap: int) -> int:
    """Return how many windows there are: each starts where the last one's own part ends."""
    return 1 if len(text) <= size else 1 + -(-(len(text) - size) // (size - overlap))


def _check(found: int, limit: int) -> None:
    if found > limit:
        raise TooLong(
            f"a text of {found} windows, and max_windows is {limit}: raise it, or max_chars"
        )
