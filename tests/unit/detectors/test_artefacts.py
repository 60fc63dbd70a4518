import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skops import io as skops

from detectors import artefacts
from detectors.errors import ArtefactError


def content() -> dict[str, Any]:
    return {
        "prompt": {"weights": np.arange(9, dtype=np.float16), "slope": 0.5},
        "answer": {"weights": np.ones(9, dtype=np.float16), "slope": 1.5},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    artefacts.save(tmp_path, "toy", content())
    return tmp_path


def edit_manifest(folder: Path, **changes: object) -> None:
    path = folder / artefacts.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_was_saved_is_loaded(folder: Path) -> None:
    loaded = artefacts.load(folder, "toy")

    assert loaded.content["prompt"]["slope"] == 0.5
    assert loaded.content["answer"]["weights"].tolist() == [1] * 9


def test_the_same_content_gives_the_same_bytes_and_version(folder: Path, tmp_path: Path) -> None:
    again = artefacts.save(tmp_path / "again", "toy", content())

    first, second = folder / artefacts.MODEL, tmp_path / "again" / artefacts.MODEL
    assert first.read_bytes() == second.read_bytes()
    assert again.version == artefacts.load(folder, "toy").version


def test_other_content_has_another_version(folder: Path, tmp_path: Path) -> None:
    other = artefacts.save(tmp_path / "other", "toy", content() | {"more": 1})

    assert other.version != artefacts.load(folder, "toy").version


@pytest.mark.parametrize("where", [0, 100, -1])
def test_a_changed_byte_is_refused(folder: Path, where: int) -> None:
    model = folder / artefacts.MODEL
    altered = bytearray(model.read_bytes())
    altered[where] ^= 1
    model.write_bytes(altered)

    with pytest.raises(ArtefactError, match="changed or damaged"):
        artefacts.load(folder, "toy")


@pytest.mark.parametrize("name", [artefacts.MODEL, artefacts.MANIFEST])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(ArtefactError, match=name):
        artefacts.load(folder, "toy")


def test_a_model_of_another_kind_or_schema_is_refused(folder: Path) -> None:
    with pytest.raises(ArtefactError, match="'kind': 'other'"):
        artefacts.load(folder, "other")

    edit_manifest(folder, schema=99)
    with pytest.raises(ArtefactError, match="99"):
        artefacts.load(folder, "toy")


@pytest.mark.parametrize("text", ["", "not json", "[]"])
def test_a_manifest_that_is_no_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / artefacts.MANIFEST).write_text(text)

    with pytest.raises(ArtefactError, match=artefacts.MANIFEST):
        artefacts.load(folder, "toy")


def test_a_type_that_is_not_trusted_is_refused_even_with_the_right_digest(folder: Path) -> None:
    put_in_place(folder, skops.dumps({"prompt": Path("somewhere")}))

    with pytest.raises(ArtefactError, match=r"not trusted: \['pathlib"):
        artefacts.load(folder, "toy")


def put_in_place(folder: Path, blob: bytes) -> None:
    (folder / artefacts.MODEL).write_bytes(blob)
    edit_manifest(folder, sha256=hashlib.sha256(blob).hexdigest())


def test_what_is_loaded_is_what_skops_would_load(folder: Path) -> None:
    by_skops = skops.load(folder / artefacts.MODEL)
    ours = artefacts.load(folder, "toy").content

    assert ours.keys() == by_skops.keys()
    for part, numbers in by_skops.items():
        assert ours[part]["slope"] == numbers["slope"]
        assert ours[part]["weights"].dtype == numbers["weights"].dtype
        assert ours[part]["weights"].tolist() == numbers["weights"].tolist()


def test_an_array_of_objects_is_refused(folder: Path) -> None:
    put_in_place(folder, skops.dumps({"prompt": np.array([{}, None], dtype=object)}))

    with pytest.raises(ArtefactError, match=artefacts.MODEL):
        artefacts.load(folder, "toy")


@pytest.mark.parametrize("blob", [b"", b"no archive"])
def test_what_is_no_archive_is_refused_even_with_the_right_digest(
    folder: Path, blob: bytes
) -> None:
    put_in_place(folder, blob)

    with pytest.raises(ArtefactError, match="no archive"):
        artefacts.load(folder, "toy")


def test_loading_a_model_imports_no_learning_library() -> None:
    program = (
        "import sys; from detectors.registry import FACTORIES; FACTORIES['lexical'](); "
        "sys.exit(any(name in sys.modules for name in ('sklearn', 'scipy', 'skops')))"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
