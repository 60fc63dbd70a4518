"""Tests run again with other fixtures of the same names: the same store, on PostgreSQL."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

NAME: Final = "test_as_on_sqlite.py"
"""The file that stands for the modules, in the folder of the other fixtures."""
TESTS: Final = Path(__file__).resolve().parents[1]


class SameTests(pytest.File):
    """Stands for a folder's modules, but for those that are about SQLite."""

    def __init__(self, *, folder: Path, fixtures: Collection[str], **given: Any) -> None:  # noqa: ANN401  (pytest's)
        super().__init__(**given)
        self._folder = folder
        self._fixtures = fixtures

    def collect(self) -> Iterator[pytest.Module]:
        for path in sorted(self._folder.glob("test_*.py")):
            if not path.stem.startswith("test_sqlite"):
                nodeid = f"{self.nodeid}::{path.stem}"
                yield SameModule.from_parent(
                    self, path=path, nodeid=nodeid, fixtures=self._fixtures
                )


class SameModule(pytest.Module):
    """What a module has for any of the fixtures."""

    def __init__(self, *, fixtures: Collection[str], **given: Any) -> None:  # noqa: ANN401  (pytest's)
        super().__init__(**given)
        self._fixtures = frozenset(fixtures)

    def collect(self) -> list[pytest.Item | pytest.Collector]:
        found = super().collect()
        return [
            it for it in found if not self._fixtures.isdisjoint(getattr(it, "fixturenames", ()))
        ]


def same_tests(
    file_path: Path, parent: pytest.Collector, folder: str, fixtures: Collection[str]
) -> pytest.Collector | None:
    """Collect a folder of tests, named from `tests/` on, where a file stands for them."""
    if file_path.name != NAME:
        return None
    found: SameTests = SameTests.from_parent(
        parent, path=file_path, folder=TESTS / folder, fixtures=fixtures
    )
    return found
