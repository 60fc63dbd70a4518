"""The detectors that there are. A model is loaded when its factory is called, not before."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from detectors import lexical, probe, rules, semantic, suite
from detectors.api import Category, Detector

Factory = Callable[[], Detector]

WORKING: Mapping[str, Factory] = MappingProxyType(
    {
        lexical.NAME: lexical.load,
        rules.NAME: rules.load,
    }
)
"""Those that score exchanges where the settings do not say: they need nothing beside Watchgate."""

FACTORIES: Mapping[str, Factory] = MappingProxyType(
    {
        **WORKING,
        probe.NAME: probe.load,
        semantic.NAME: semantic.load,
        suite.NAME: suite.load,
    }
)
"""Name → factory of a ready detector; a factory raises `ArtefactError`."""

_LEXICAL = frozenset({Category.ANY})
_RULES = frozenset(
    {
        Category.ANY,
        Category.CYBER,
        Category.JAILBREAK,
        Category.PRIVACY,
        Category.PROMPT_INJECTION,
    }
)
_SEMANTIC = frozenset(
    {
        Category.ANY,
        Category.CYBER,
        Category.FRAUD,
        Category.HATE,
        Category.JAILBREAK,
        Category.PRIVACY,
        Category.SEXUAL,
        Category.VIOLENCE,
    }
)

_PROBE = _SEMANTIC
"""Both were taught by the same rows, and each category is ranked well enough by either."""

CATEGORIES: Mapping[str, frozenset[Category]] = MappingProxyType(
    {
        lexical.NAME: _LEXICAL,
        probe.NAME: _PROBE,
        rules.NAME: _RULES,
        semantic.NAME: _SEMANTIC,
        suite.NAME: _LEXICAL | _RULES | _SEMANTIC,
    }
)
"""Name → the categories that the detector gives scores for, of whichever part: known without
loading it."""
