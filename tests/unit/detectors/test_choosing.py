import json
import shutil
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


def test_a_model_of_ones_own_is_called_as_its_folder_and_keeps_the_floors(tmp_path: Path) -> None:
    own = shutil.copytree(lexical.MODEL_FOLDER, tmp_path / "lexical-acme")
    chosen = choose(str(own))

    assert chosen.detector.name == "lexical-acme"
    assert chosen.floors == lexical.MODEL_FOLDER / "floors.toml"


def test_what_is_neither_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is no detector .*lexical"):
        choose("lexicall")
    with pytest.raises(DataError, match="is no folder of a model"):
        choose(str(tmp_path))
    (tmp_path / "manifest.json").write_text(json.dumps({"kind": "other"}))
    with pytest.raises(DataError, match="'other', which no detector loads"):
        choose(str(tmp_path))
