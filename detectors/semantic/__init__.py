"""The detector `semantic`: linear heads on the states of a small language model."""

from pathlib import Path
from typing import Final

from detectors.api import Detector

NAME: Final = "semantic"
MODEL_FOLDER: Final = Path(__file__).parents[1] / "models" / NAME
DEEP, SHALLOW = 16, 8
"""So many of the model's 30 layers are read: the deep way ranks best, the shallow costs half."""


def load(folder: Path = MODEL_FOLDER, name: str = NAME, layers: int = DEEP) -> Detector:
    """Load the heads in `folder`, and so many layers of the weights that are installed.

    Raises:
        ArtefactError: the heads are not to be trusted, or what runs the encoder is not installed.
    """
    from detectors.semantic import detector  # noqa: PLC0415 - numpy is for who loads a model

    return detector.load(folder, name, layers)
