"""What this version writes can be frozen, when it is released."""

from pathlib import Path

from scripts.freeze_version import freeze
from service.events.journal import read_topic
from service.events.log import Topic
from tests.real_parts.versions import FROZEN, Frozen

MAX_FILE_BYTES = 200_000


def names(folder: Path) -> set[str]:
    return {str(it.relative_to(folder)) for it in folder.rglob("*") if it.is_file()}


def test_this_version_can_be_frozen_as_the_last_one_was(tmp_path: Path) -> None:
    made = tmp_path / "version-next"
    freeze(made)
    assert names(made) >= names(FROZEN[-1])
    again = Frozen(made, tmp_path / "copy")
    found = [it for topic in Topic for it in read_topic(again.journals, topic)]
    assert len(found) == len(again.manifest["records"]) > 0


def test_what_is_frozen_is_small() -> None:
    for version in FROZEN:
        assert max((version / it).stat().st_size for it in names(version)) < MAX_FILE_BYTES
