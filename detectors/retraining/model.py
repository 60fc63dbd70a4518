"""A model that was made of another one: loaded to start from, written with where it comes from."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from detectors import artefacts, lexical
from detectors.api import Part
from detectors.card import CARD
from detectors.errors import ArtefactError, DataError
from detectors.features import BUCKETS
from detectors.retraining.adapting import Head, head_of
from detectors.retraining.config import SHIPPED
from detectors.retraining.rows import FileFacts
from detectors.tables import Table


@dataclass(frozen=True, slots=True)
class Base:
    """The model that is started from: its heads, and the detector that they make."""

    name: str
    folder: Path
    heads: Mapping[Part, Head]
    detector: lexical.Lexical
    sha256: str

    def asked(self, prompt: str) -> float:
        """Return the probability that a prompt asks for misuse."""
        return self.detector.heads[Part.PROMPT].score(prompt)


def load(folder: Path | None) -> Base:
    """Load a model to start from; None is the shipped one.

    Raises:
        ArtefactError: it is not to be trusted, or was trained by another version of Watchgate.
    """
    place = folder or lexical.MODEL_FOLDER
    content = artefacts.load(place, lexical.NAME).content
    try:
        heads = {Part(part): head_of(numbers) for part, numbers in content.items()}
    except (LookupError, TypeError, ValueError) as error:
        raise ArtefactError(f"{place} was trained by another version: {error}") from None
    if Part.PROMPT not in heads or not all(map(_fits, heads.values())):
        raise ArtefactError(f"{place} was trained by another version: retrain it with this one")
    digest = hashlib.sha256((place / artefacts.MODEL).read_bytes()).hexdigest()
    name = SHIPPED if folder is None else place.resolve().name
    return Base(name, place, heads, lexical.load(place), digest)


def _fits(head: Head) -> bool:
    return all(it.weights.shape == (BUCKETS,) for it in head.kinds.values())


def check_output(output: Path, base: Base) -> None:
    """Refuse a folder that holds the model that is started from, or the shipped one."""
    for folder in (base.folder, lexical.MODEL_FOLDER):
        if output.resolve() == folder.resolve():
            raise DataError(f"{output} holds the model that is started from: name another folder")


def save(output: Path, heads: Mapping[Part, Head], about: Mapping[str, Any]) -> lexical.Lexical:
    """Write model and manifest, which tells `about` too; return the detector.

    Raises:
        DataError: the folder cannot be written.
    """
    content = {str(part): head.content() for part, head in heads.items()}
    try:
        artefacts.save(output, lexical.NAME, content, about)
    except OSError as error:
        raise DataError(f"{output} cannot be written: {error.strerror}") from None
    return lexical.load(output, output.resolve().name)


def write_card(output: Path, lines: Sequence[str]) -> None:
    """Write a model's card; raises as `save`."""
    try:
        (output / CARD).write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{output / CARD} cannot be written: {error.strerror}") from None


def origin(base: Base, files: Sequence[FileFacts]) -> dict[str, Any]:
    """Return what a manifest tells of where a model comes from: names and digests, no texts."""
    return {
        "base": {"name": base.name, "version": base.detector.version, "sha256": base.sha256},
        "rows": [asdict(it) for it in files],
    }


def files_table(files: Sequence[FileFacts]) -> Table:
    """Return what a card tells of the files of rows."""
    rows = [
        [it.name, f"{it.rows:,}", f"{it.misuse:,}", ", ".join(it.licences), it.sha256]
        for it in files
    ]
    header = ["file", "rows", "of them misuse", "licences", "SHA-256"]
    return Table(
        "Rows", "The texts stay where they are: none is in the model's files.", header, rows
    )
