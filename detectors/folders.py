"""Models of several files: a folder whose `manifest.json` names the SHA-256 of each.

What is in the files is for their reader to judge. As with `artefacts`, a digest finds damage and
half-made copies; who can rewrite all files must be kept out by other means.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectors.errors import ArtefactError

SCHEMA = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Files:
    """The bytes of each file; `version` changes with any of them."""

    content: Mapping[str, bytes]
    version: str


def save(folder: Path, kind: str, content: Mapping[str, bytes]) -> Files:
    """Write the files and their manifest; equal content gives equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in content.items():
        (folder / name).write_bytes(data)
    digests = {name: _digest(content[name]) for name in sorted(content)}
    manifest = json.dumps({"schema": SCHEMA, "kind": kind, "files": digests}, indent=2) + "\n"
    (folder / MANIFEST).write_text(manifest, encoding="utf-8")
    return Files(dict(content), _version(digests))


def load(folder: Path, kind: str) -> Files:
    """Read what `save` wrote.

    Raises `ArtefactError` when a file is missing or its digest differs, or the manifest is of
    another schema or kind, or names a file outside of the folder.
    """
    digests = _digests(folder / MANIFEST, kind)
    content = {name: _checked(folder / name, digest) for name, digest in digests.items()}
    return Files(content, _version(digests))


def _version(digests: Mapping[str, str]) -> str:
    return f"{SCHEMA}-{_digest(json.dumps(dict(digests), sort_keys=True).encode())[:12]}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read: {error.strerror}") from error


def _checked(path: Path, wanted: str) -> bytes:
    data = _read(path)
    if _digest(data) != wanted:
        raise ArtefactError(
            f"{path} has SHA-256 {_digest(data)}, but {MANIFEST} says {wanted}: "
            "the file was changed or damaged; restore or retrain it"
        )
    return data


def _digests(path: Path, kind: str) -> dict[str, str]:
    try:
        manifest = json.loads(_read(path))
    except ValueError as error:
        raise ArtefactError(f"{path} is not JSON") from error
    wanted = {"schema": SCHEMA, "kind": kind}
    found = _part(manifest, wanted) if isinstance(manifest, dict) else manifest
    if found != wanted:
        raise ArtefactError(f"{path} describes {found}, but {wanted} is needed")
    files = manifest.get("files")
    if not isinstance(files, dict) or not all(_is_entry(*entry) for entry in files.items()):
        raise ArtefactError(f"{path} must name files of its own folder, each with a digest")
    return dict(files)


def _part(manifest: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
    return {key: manifest.get(key) for key in keys}


def _is_entry(name: str, digest: object) -> bool:
    return isinstance(digest, str) and Path(name).name == name and name not in {"", ".", ".."}
