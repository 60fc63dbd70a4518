"""What pydantic finds wrong, in words that say what would be right."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from service.settings.base import EXPECTED
from service.settings.keys import names_at, nearest
from service.settings.mistakes import Mistake, Where

_SAID: Final = {
    "missing": "required, and missing",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}
"""Where pydantic speaks of Python."""
_OF_KEY: Final = "[key]"
"""What pydantic ends the path of a mapping's key with."""


def mistakes_of(error: ValidationError, values: Mapping[str, Any]) -> list[Mistake]:
    """Tell of what is wrong with `values`, without quoting any of them."""
    errors = error.errors(include_input=False, include_url=False)
    return [
        Mistake(_where(one["loc"], values), _words(one))
        for one in errors
        if not _follows(one, errors)
    ]


def _follows(error: ErrorDetails, errors: Sequence[ErrorDetails]) -> bool:
    """Say whether a list is only too short because items of it are wrong: those are told."""
    loc = error["loc"]
    inner = (other["loc"] for other in errors if len(other["loc"]) > len(loc))
    return error["type"] == "too_short" and any(it[: len(loc)] == loc for it in inner)


def _where(loc: Where, values: Any) -> Where:  # noqa: ANN401  (whatever YAML holds)
    """Return a path of the file's keys: pydantic's names the kind of one of several sections."""
    where: list[str | int] = []
    for key in loc:
        is_kind = isinstance(values, dict) and key == values.get("kind") and key not in values
        if is_kind or key == _OF_KEY:
            continue
        where.append(key)
        values = _inside(values, key)
    return tuple(where)


def _inside(values: Any, key: str | int) -> Any:  # noqa: ANN401  (whatever YAML holds)
    if isinstance(values, dict):
        return values.get(key)
    is_place = isinstance(values, list) and isinstance(key, int) and key < len(values)
    return values[key] if is_place else None


def _words(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return _unknown(error["loc"])
        case "string_pattern_mismatch":
            pattern = context["pattern"]
            return f"expected {EXPECTED.get(pattern, f'what matches {pattern}')}"
        case "too_short":
            return f"expected at least {context['min_length']}"
        case "union_tag_not_found":
            return f"expected a mapping with the key {context['discriminator']}"
        case kind:
            said = _SAID.get(kind) or error["msg"].removeprefix("Value error, ")
            return said.replace("Input should be", "must be", 1)


def _unknown(loc: Where) -> str:
    *above, name = loc
    there_are = [other for other in names_at(tuple(above)) if other != name]
    near = nearest(str(name), there_are)
    hint = f"the nearest is {near}" if near else f"there are: {', '.join(there_are)}"
    return f"unknown setting; {hint}"
