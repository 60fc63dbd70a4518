import json
from pathlib import Path

import pytest

from detectors import folders
from detectors.errors import ArtefactError

CONTENT = {"one.bin": b"\x00\x01", "two.json": b"{}"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folders.save(tmp_path, "toy", CONTENT)
    return tmp_path


def test_what_was_saved_is_loaded(folder: Path) -> None:
    assert folders.load(folder, "toy").content == CONTENT


def test_the_version_is_that_of_the_content(folder: Path, tmp_path: Path) -> None:
    version = folders.load(folder, "toy").version

    assert folders.save(tmp_path / "again", "toy", CONTENT).version == version
    assert folders.save(tmp_path / "other", "toy", CONTENT | {"two.json": b"[]"}).version != version


@pytest.mark.parametrize("name", sorted(CONTENT))
def test_a_changed_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"changed")

    with pytest.raises(ArtefactError, match=f"{name} has SHA-256 .* changed or damaged"):
        folders.load(folder, "toy")


@pytest.mark.parametrize("name", [*sorted(CONTENT), folders.MANIFEST])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(ArtefactError, match=f"{name} cannot be read"):
        folders.load(folder, "toy")


def test_a_model_of_another_kind_is_refused(folder: Path) -> None:
    with pytest.raises(ArtefactError, match="'kind': 'other'"):
        folders.load(folder, "other")


@pytest.mark.parametrize("files", [None, ["one.bin"], {"../up": "0"}, {"": "0"}, {"one.bin": 3}])
def test_a_manifest_names_files_of_its_own_folder(folder: Path, files: object) -> None:
    manifest = {"schema": folders.SCHEMA, "kind": "toy", "files": files}
    (folder / folders.MANIFEST).write_text(json.dumps(manifest))

    with pytest.raises(ArtefactError, match="files of its own folder"):
        folders.load(folder, "toy")


@pytest.mark.parametrize("text", ["no JSON", "[]"])
def test_a_manifest_that_is_none_is_refused(folder: Path, text: str) -> None:
    (folder / folders.MANIFEST).write_text(text)

    with pytest.raises(ArtefactError, match=folders.MANIFEST):
        folders.load(folder, "toy")
