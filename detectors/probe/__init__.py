"""The detector `probe`: what probes inside the served model make of an exchange, calibrated."""

from pathlib import Path
from typing import Final

from detectors.api import ReadingDetector

NAME: Final = "probe"
MODEL_FOLDER: Final = Path(__file__).parents[1] / "models" / NAME
"""The probes of the demo's model."""
CARD: Final = "card.md"
HEADS: Final = "heads"
"""The folder within that of the probes: they come together, or not at all."""
LEAST_READ: Final = 0.9
"""Of so many of a part's tokens the probes must have seen the states: what was not computed, as it
came from a cache, may be what matters."""


def load(
    folder: Path = MODEL_FOLDER, name: str = NAME, least_read: float = LEAST_READ
) -> ReadingDetector:
    """Load the heads of the probes in `folder`.

    Raises:
        ArtefactError: they are missing, damaged, or not of the probes beside them.
    """
    from detectors.probe import detector  # noqa: PLC0415 - numpy is for who loads a model

    return detector.load(folder, name, least_read)
