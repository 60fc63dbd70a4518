"""The keys that there are, as the shape of the settings tells them."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from service.core.tiers import TIERS
from service.settings.base import Section
from service.settings.mistakes import Where
from service.settings.sections import Settings

_HOLDERS: Final = frozenset({Annotated, Union, UnionType, tuple, dict})
_TIERS: Final = tuple(str(tier.number) for tier in TIERS)
"""The keys of the one mapping whose keys are no names of settings."""


def sections_in(annotation: Any) -> Iterator[type[Section]]:  # noqa: ANN401  (any type)
    """Yield the sections in a type: alone, optional, one of several, in a list or a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    elif get_origin(annotation) in _HOLDERS:
        for argument in get_args(annotation):
            yield from sections_in(argument)


def names_at(loc: Where) -> Sequence[str]:
    """Return the names that a section takes, by pydantic's path of it."""
    sections: list[type[Section]] = [Settings]
    for key in loc:
        fields = [it.model_fields[key] for it in sections if key in it.model_fields]
        if fields:
            sections = [inner for field in fields for inner in sections_in(field.annotation)]
        else:  # a place in a list, a tier, or which of several sections it is
            sections = [it for it in sections if key in _kinds(it)] or sections
    return [name for section in sections for name in section.model_fields]


def variables(section: type[Section] = Settings, above: Where = ()) -> Iterator[tuple[Where, bool]]:
    """Yield each path that a variable of the environment can set, and whether as JSON."""
    for name, field in section.model_fields.items():
        where, many = (*above, name), get_origin(field.annotation)
        inner = list(sections_in(field.annotation))
        yield where, bool(inner) or many in {tuple, dict}
        if many is tuple:
            continue
        for base in [(*where, tier) for tier in _TIERS] if many is dict else [where]:
            if many is dict:
                yield base, True
            for one in inner:
                yield from variables(one, base)


def nearest(name: str, names: Sequence[str]) -> str | None:
    """Return the one of the names that a misspelt one probably meant, if any is near."""
    return next(iter(get_close_matches(name, names, 1)), None)


def _kinds(section: type[Section]) -> tuple[Any, ...]:
    kind = section.model_fields.get("kind")
    return get_args(kind.annotation) if kind else ()
