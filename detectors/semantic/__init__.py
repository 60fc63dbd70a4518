"""The detector `semantic`: linear heads on the states of a small language model."""

from detectors.semantic.detector import DEEP, MODEL_FOLDER, NAME, SHALLOW, Semantic, load

__all__ = ["DEEP", "MODEL_FOLDER", "NAME", "SHALLOW", "Semantic", "load"]
