"""The detectors that there are. A model is loaded when its factory is called, not before."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from detectors import lexical
from detectors.api import Detector

FACTORIES: Mapping[str, Callable[[], Detector]] = MappingProxyType({lexical.NAME: lexical.load})
"""Name → factory of a ready detector; a factory raises `ArtefactError`."""
