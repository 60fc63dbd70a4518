"""Texts that are longer than an inline detector sees at once."""

from collections.abc import Mapping, Sequence

import pytest

from detectors.api import Category, GrowingText, Part, Sample, chunks, score_whole

BAD = "badthing"


class Short:
    """An inline detector that sees 1,000 characters, and tells a category where it finds it."""

    name, version, engine = "short", "1", "python"
    parts = frozenset({Part.PROMPT})
    max_chars = 1_000

    def score_text(self, text: str, part: Part) -> Mapping[Category, float]:
        assert part is Part.PROMPT
        assert len(text) <= self.max_chars
        found = {Category.FRAUD: 0.9} if BAD in text else {}
        return {Category.ANY: 0.9 if found else 0.1, **found}

    def score(self, samples: Sequence[Sample]) -> list[Mapping[Category, float]]:
        return [self.score_text(it.text, it.part) for it in samples]

    def growing(self, part: Part) -> GrowingText:
        raise NotImplementedError(part)


@pytest.mark.parametrize("before", [0, 995, 5_000])
def test_what_is_told_of_one_chunk_alone_is_told_of_the_text(before: int) -> None:
    text = "x" * before + BAD + "x" * 5_000
    assert len([*chunks(text, Short.max_chars)]) > 1

    plain, found = score_whole(Short(), [Sample(it, Part.PROMPT) for it in ("x" * 5_000, text)])

    assert plain == {Category.ANY: 0.1}
    assert found == {Category.ANY: 0.9, Category.FRAUD: 0.9}
