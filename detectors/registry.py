"""The detectors that there are. A model is loaded when its factory is called, not before."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from detectors import lexical, rules
from detectors.api import Category, Detector

FACTORIES: Mapping[str, Callable[[], Detector]] = MappingProxyType(
    {
        lexical.NAME: lexical.load,
        rules.NAME: rules.load,
    }
)
"""Name → factory of a ready detector; a factory raises `ArtefactError`."""

CATEGORIES: Mapping[str, frozenset[Category]] = MappingProxyType(
    {
        lexical.NAME: frozenset({Category.ANY}),
        rules.NAME: frozenset(
            {
                Category.ANY,
                Category.CYBER,
                Category.JAILBREAK,
                Category.PRIVACY,
                Category.PROMPT_INJECTION,
            }
        ),
    }
)
"""Name → the categories that the detector gives scores for, known without loading it."""
