"""The detector `semantic`: linear heads on the states of a small language model."""

from detectors.semantic.detector import MODEL_FOLDER, NAME, Semantic, load

__all__ = ["MODEL_FOLDER", "NAME", "Semantic", "load"]
