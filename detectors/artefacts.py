"""Model files: saved by skops, checked against a digest, never unpickled.

They are read here: skops imports all of scikit-learn, which costs each process that loads a model
over a second and 100 MB. What is read is less than skops would: mappings, numbers, texts, arrays.

A folder holds `model.skops` and `manifest.json`, which names the file's SHA-256. The digest
finds files that were damaged, half copied or changed alone; whoever can rewrite both files must
be kept out by other means (file permissions, signed releases).
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectors.errors import ArtefactError

SCHEMA = 1
MODEL = "model.skops"
MANIFEST = "manifest.json"

_OBJECT_ID = re.compile(rb'("__id__": |"file": ")(\d+)')


@dataclass(frozen=True, slots=True)
class Artefact:
    """A loaded model: plain containers, numbers and numpy arrays; `version` is digest-derived."""

    content: Mapping[str, Any]
    version: str


def save(
    folder: Path, kind: str, content: Mapping[str, Any], about: Mapping[str, Any] | None = None
) -> Artefact:
    """Write model and manifest to `folder`; equal content gives equal bytes.

    `about` stands in the manifest for people: nothing reads it.
    """
    from skops import io as skops  # noqa: PLC0415 - imports all of scikit-learn: seconds

    blob = _reproducible(skops.dumps(dict(content)))
    digest = hashlib.sha256(blob).hexdigest()
    manifest = {"schema": SCHEMA, "kind": kind, "file": MODEL, "sha256": digest, **(about or {})}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL).write_bytes(blob)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return Artefact(content, _version(digest))


def load(folder: Path, kind: str) -> Artefact:
    """Read a model that `save` wrote.

    Raises `ArtefactError` when a file is missing, the digest differs, the manifest is of another
    schema or kind, or the file holds a type that is not trusted.
    """
    manifest = _manifest(folder, kind)
    blob = _read(folder / MODEL)
    digest = hashlib.sha256(blob).hexdigest()
    if digest != manifest.get("sha256"):
        raise ArtefactError(
            f"{folder / MODEL} has SHA-256 {digest}, but {MANIFEST} says "
            f"{manifest.get('sha256')}: the file was changed or damaged; restore or retrain it"
        )
    return Artefact(_trusted_content(blob, folder), _version(digest))


def _version(digest: str) -> str:
    return f"{SCHEMA}-{digest[:12]}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read: {error.strerror}") from error


def _manifest(folder: Path, kind: str) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(_read(path))
    except ValueError as error:
        raise ArtefactError(f"{path} is not JSON") from error
    wanted = {"schema": SCHEMA, "kind": kind}
    found = {key: manifest.get(key) for key in wanted} if isinstance(manifest, dict) else manifest
    if found != wanted:
        raise ArtefactError(f"{path} describes {found}, but {wanted} is needed")
    return dict(manifest)


def _trusted_content(blob: bytes, folder: Path) -> Mapping[str, Any]:
    try:
        with zipfile.ZipFile(io.BytesIO(blob)) as archive:
            content = _value(json.loads(archive.read("schema.json")), archive)
    except (zipfile.BadZipFile, LookupError, TypeError, ValueError) as error:
        raise ArtefactError(f"{folder / MODEL} is no archive of skops: {error}") from error
    except _NotTrustedError as error:
        raise ArtefactError(f"{folder / MODEL} holds types that are not trusted: {error}") from None
    if not isinstance(content, dict):
        raise ArtefactError(f"{folder / MODEL} holds {type(content).__name__}, not a mapping")
    return content


def _value(node: Mapping[str, Any], archive: zipfile.ZipFile) -> object:
    """Return what a node of skops' schema describes, if it is of a kind that `save` needs."""
    kind = (node["__loader__"], f"{node['__module__']}.{node['__class__']}")
    match kind:
        case ("DictNode", "builtins.dict"):
            return {str(key): _value(it, archive) for key, it in node["content"].items()}
        case ("JsonNode", "builtins.str"):  # a number or a text, as JSON
            return json.loads(node["content"])
        case ("NdArrayNode", "numpy.ndarray") if node["type"] == "numpy":
            return _array(archive.read(node["file"]))
    raise _NotTrustedError([kind[1]])


def _array(blob: bytes) -> object:
    import numpy as np  # noqa: PLC0415 - only who loads a model needs it

    return np.load(io.BytesIO(blob), allow_pickle=False)


class _NotTrustedError(Exception):
    """A node of another kind; its argument is the list of types."""


def _reproducible(blob: bytes) -> bytes:
    """Rewrite skops' archive without memory addresses and times, which differ in every run."""
    with zipfile.ZipFile(io.BytesIO(blob)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    schema = files.pop("schema.json")
    order = dict.fromkeys(match[2].decode() for match in _OBJECT_ID.finditer(schema))
    number = {old: str(new) for new, old in enumerate(order)}
    schema = _OBJECT_ID.sub(lambda match: match[1] + number[match[2].decode()].encode(), schema)
    renamed = {f"{number[name.split('.')[0]]}.npy": data for name, data in files.items()}
    return _archive({"schema.json": schema} | dict(sorted(renamed.items())))


def _archive(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name)  # dated 1980: the time of saving is no content
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED, compresslevel=9)
    return buffer.getvalue()
