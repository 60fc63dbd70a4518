"""The detectors that there are. A model is loaded when its factory is called, not before."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from detectors import lexical
from detectors.api import Category, Detector

SEMANTIC = "semantic"


def _semantic() -> Detector:
    from detectors import semantic  # noqa: PLC0415 - imports numpy, which a gateway may do without

    return semantic.load()


FACTORIES: Mapping[str, Callable[[], Detector]] = MappingProxyType(
    {
        lexical.NAME: lexical.load,
        SEMANTIC: _semantic,
    }
)
"""Name → factory of a ready detector; a factory raises `ArtefactError`."""

CATEGORIES: Mapping[str, frozenset[Category]] = MappingProxyType(
    {
        lexical.NAME: frozenset({Category.ANY}),
        SEMANTIC: frozenset({Category.ANY}),
    }
)
"""Name → the categories that the detector gives scores for, known without loading it."""
