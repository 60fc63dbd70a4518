import json
from pathlib import Path

import pytest

from detectors import lexical
from detectors.choosing import choose
from detectors.errors import DataError


def test_a_name_of_the_registry_is_that_detector_with_its_floors() -> None:
    chosen = choose("lexical")

    assert chosen.detector.version == lexical.load().version
    assert chosen.floors == lexical.MODEL_FOLDER / "floors.toml"


def test_a_folder_is_loaded_as_the_kind_that_its_manifest_names() -> None:
    chosen = choose(str(lexical.MODEL_FOLDER))

    assert chosen.detector.name == "lexical"
    assert chosen.folder == lexical.MODEL_FOLDER


def test_what_is_neither_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is no detector .*lexical"):
        choose("lexicall")
    with pytest.raises(DataError, match="names no kind of model"):
        choose(str(tmp_path))
    (tmp_path / "manifest.json").write_text(json.dumps({"kind": "other"}))
    with pytest.raises(DataError, match="'other', which no detector loads"):
        choose(str(tmp_path))
