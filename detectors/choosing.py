"""Which detector a command means: a name of the registry, or the folder of a model."""

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from detectors import artefacts
from detectors.api import Detector, ReadingDetector
from detectors.errors import DataError
from detectors.registry import FACTORIES

MODELS = Path(__file__).parent / "models"
FLOORS = "floors.toml"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A detector, with the folder of its model where it has one."""

    detector: Detector
    folder: Path | None
    kind: str
    """The name in the registry of what loads it."""

    @property
    def floors(self) -> Path | None:
        """Return the floors that are shipped for a detector of its kind, if there are any."""
        path = MODELS / self.kind / FLOORS
        return path if path.exists() else None


def choose(name: str) -> Chosen:
    """Load what `name` means, if it scores texts; a model of one's own is called as its folder.

    Raises:
        DataError: it is neither in the registry nor a folder of a model that the registry knows, or
            it judges what was read inside a model.
        ArtefactError: the model is not to be trusted.
    """
    if name in FACTORIES:
        folder = MODELS / name
        detector = FACTORIES[name]()
        if isinstance(detector, ReadingDetector):
            raise DataError(
                f"{name} scores no texts, but what was read inside a model: see "
                "`watchgate probes evaluate`"
            )
        return Chosen(detector, folder if folder.is_dir() else None, name)
    folder = Path(name)
    if not folder.is_dir():
        known = ", ".join(sorted(FACTORIES))
        raise DataError(f"{name} is no detector ({known}), nor the folder of a model")
    kind = _kind(folder / artefacts.MANIFEST)
    return Chosen(_loader(folder, kind)(folder, folder.resolve().name), folder, kind)


def _loader(folder: Path, kind: str) -> Callable[[Path, str], Detector]:
    """Return the factory of a model's kind, which takes the folder and a name."""
    factory = FACTORIES.get(kind)
    if factory is None or not inspect.signature(factory).parameters:
        raise DataError(f"{folder} holds a model of kind {kind!r}, which no detector loads")
    return cast("Callable[[Path, str], Detector]", factory)


def _kind(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["kind"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"{path.parent} is no folder of a model: {path.name} does not say of which kind it is "
            f"({type(error).__name__})"
        ) from error
