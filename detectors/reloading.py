"""Detectors made of files that may change while they work.

A new version is loaded beside the old one, which stays where the new one cannot take its place.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from detectors.api import (
    Category,
    Detector,
    InlineDetector,
    Part,
    Sample,
    Scores,
    check_scores,
    judges_readings,
    score_whole,
)
from detectors.errors import ArtefactError, DetectorError

_TEXTS: Final = (
    "",
    "What is the capital of France?",
    "The tides follow the moon, and twice a day the harbour fills. " * 40,
)
_ASKED: Final = "How do tides work?"

_Mark = tuple[int, int, int] | None
Marks = Mapping[Path, _Mark]
"""What tells one state of files from another."""


class Reloadable:
    """A detector, and the files that it is made of. One thread looks at a time."""

    def __init__(self, name: str, paths: Sequence[Path], load: Callable[[], Detector]) -> None:
        """Load it. Of a folder among the paths the `*.yaml` count.

        Raises:
            DetectorError: it cannot be loaded.
        """
        self.name = name
        self._paths = paths
        self._load = load
        self._used = self._seen = _marks(paths)  # what changes from here on is seen as a change
        self.detector = load()
        """The version in use."""

    def look(self) -> Detector | None:
        """Return the new version, in use from now on; None: there is none.

        Files count once two looks found them the same: before that they may still be written.

        Raises:
            DetectorError: the files have changed, and the version in use stays; told once.
        """
        found, before = _marks(self._paths), self._seen
        self._seen = found
        if found == self._used or found != before:
            return None
        self._used = found
        new = self._loaded()
        check_successor(new, self.detector)
        self.detector = new
        return new

    def _loaded(self) -> Detector:
        try:
            return self._load()
        except DetectorError:
            raise
        except Exception as error:  # noqa: BLE001  (a model whose content is not what the code asks for)
            kind = type(error).__name__
            raise ArtefactError(f"its files lead to no detector ({kind}); make them anew") from None


def check_successor(new: Detector, old: Detector) -> None:
    """Raise `ArtefactError` unless a detector can take the place of another while it works.

    It must score all parts and categories that the other does, with probabilities.
    """
    if lacking := old.parts - new.parts:
        raise ArtefactError(
            f"it does not score {_listed(lacking)}, and the version in use does; restart to take it"
        )
    categories, known = _categories(new, old)
    if missing := known - categories:
        raise ArtefactError(
            f"it gives no score for {_listed(missing)}, and the version in use does; restart to "
            "take it"
        )


def _categories(new: Detector, old: Detector) -> tuple[frozenset[Category], frozenset[Category]]:
    """Return those that either gives scores for."""
    if judges_readings(new) and judges_readings(old):
        if new.probes != old.probes:
            raise ArtefactError(
                "it judges other probes than those in use, which vLLM tells of until it starts "
                "anew: restart both to take it"
            )
        return new.categories, old.categories
    try:
        categories = frozenset.intersection(*(frozenset(it) for it in _trial(new)))
        known = frozenset().union(*old.score([Sample("", min(old.parts))]))
    except Exception as error:  # noqa: BLE001  (whatever it raises: it cannot score)
        raise ArtefactError(f"it fails on harmless texts: {type(error).__name__}") from None
    return categories, known


def _trial(detector: Detector) -> Iterator[Scores]:
    """Yield what a detector says of some harmless texts; raises ValueError if it is no score."""
    for part in sorted(detector.parts):
        asked = _ASKED if part is Part.EXCHANGE else ""
        yield from score_whole(detector, [Sample(text, part, asked) for text in _TEXTS])
        if isinstance(detector, InlineDetector):
            growing = detector.growing(part)
            scored = [growing.add(text) for text in _TEXTS]
            check_scores(scored, len(_TEXTS))
            yield from scored


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(map(str, names)))


def _marks(paths: Sequence[Path]) -> Marks:
    return {file: _mark(file) for path in paths for file in _files(path)}


def _files(path: Path) -> list[Path]:
    try:
        return [path, *path.glob("*.yaml")]
    except OSError:
        return [path]


def _mark(file: Path) -> _Mark:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
