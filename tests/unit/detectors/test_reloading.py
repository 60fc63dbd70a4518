"""Detectors whose files change: when a change counts, and what is refused."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from detectors.api import Category, Detector, Part, Sample
from detectors.errors import ArtefactError
from detectors.reloading import Reloadable, check_successor

ANY, CYBER = Category.ANY, Category.CYBER
PROMPTS, BOTH = frozenset({Part.PROMPT}), frozenset({Part.PROMPT, Part.ANSWER})


class Constant:
    """Gives the same scores for every text."""

    def __init__(
        self,
        version: str = "1",
        parts: frozenset[Part] = PROMPTS,
        scores: Mapping[Category, float] | None = None,
    ) -> None:
        self.name, self.version, self.parts = "constant", version, parts
        self._scores = {ANY: 0.5} if scores is None else scores

    def score(self, samples: Sequence[Sample]) -> Sequence[Mapping[Category, float]]:
        return [self._scores for _ in samples]


class FromFile:
    """A detector whose version is what its file says, and how often that was read."""

    def __init__(self, file: Path) -> None:
        self.reads = 0
        self._file = file

    def __call__(self) -> Detector:
        self.reads += 1
        text = self._file.read_text()
        if text == "broken":
            raise ArtefactError("the file is broken; restore it")
        if text == "strange":
            raise KeyError(text)
        return Constant(text)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "version.yaml"
    file.write_text("one")
    return file


def put(file: Path, text: str) -> None:
    """Put another version in the place of the file, as something of its own."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


def version_of(detector: Detector | None) -> str | None:
    return None if detector is None else detector.version


def test_files_that_stay_as_they_are_are_not_read_again(file: Path) -> None:
    load = FromFile(file)
    held = Reloadable("it", [file], load)
    assert [held.look() for _ in range(3)] == [None] * 3
    assert load.reads == 1


@pytest.mark.parametrize("whole_folder", [False, True])
def test_a_change_counts_once_two_looks_saw_the_same(file: Path, whole_folder: bool) -> None:
    load = FromFile(file)
    held = Reloadable("it", [file.parent if whole_folder else file], load)
    put(file, "half of two")
    assert held.look() is None
    put(file, "two")
    assert held.look() is None, "it was still being written"
    assert version_of(held.look()) == "two"
    assert held.detector.version == "two"
    assert held.look() is None
    assert load.reads == 2


def test_a_file_that_is_new_in_a_folder_is_a_change(file: Path) -> None:
    held = Reloadable("it", [file.parent], FromFile(file))
    (file.parent / "more.yaml").write_text("more")
    assert [version_of(held.look()) for _ in range(3)] == [None, "one", None]


@pytest.mark.parametrize(
    ("text", "words"),
    [("broken", "is broken; restore it"), ("strange", r"lead to no detector \(KeyError\)")],
)
def test_a_broken_version_is_told_once_and_the_old_one_stays(
    file: Path, text: str, words: str
) -> None:
    held = Reloadable("it", [file], FromFile(file))
    put(file, text)
    assert held.look() is None
    with pytest.raises(ArtefactError, match=words):
        held.look()
    assert held.look() is None
    assert held.detector.version == "one"
    put(file, "three")
    assert [version_of(held.look()) for _ in range(2)] == [None, "three"]


def test_files_that_are_gone_leave_the_old_version(file: Path) -> None:
    held = Reloadable("it", [file], FromFile(file))
    file.unlink()
    assert held.look() is None
    with pytest.raises(ArtefactError, match="FileNotFoundError"):
        held.look()
    assert held.detector.version == "one"


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (Constant(scores={ANY: float("nan")}), "fails on harmless texts: ValueError"),
        (Constant(scores={ANY: 1.01}), "fails on harmless texts: ValueError"),
        (Constant(scores={CYBER: 0.5}), "no score for any, and the version in use does; restart"),
    ],
)
def test_what_cannot_take_the_place_is_refused(new: Detector, words: str) -> None:
    with pytest.raises(ArtefactError, match=words):
        check_successor(new, Constant())


def test_a_part_that_would_go_unscreened_is_a_reason_to_refuse() -> None:
    with pytest.raises(ArtefactError, match="does not score answer, and the version in use does"):
        check_successor(Constant(parts=PROMPTS), Constant(parts=BOTH))


def test_more_parts_and_categories_are_welcome() -> None:
    check_successor(Constant(parts=BOTH, scores={ANY: 0.0, CYBER: 1.0}), Constant(parts=PROMPTS))
