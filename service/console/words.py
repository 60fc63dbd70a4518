"""What is wrong with a body or a parameter, in words that say what would be right."""

from collections.abc import Mapping
from typing import Any, Final

from service.console.fields import ENTITLEMENT, EXCHANGE, ID, MODEL, NAME

_MAX_QUOTED: Final = 40
_SHOWN_OF_LONGER: Final = 10
_EXPECTED: Final = {
    NAME: "1 to 63 letters, digits, '.', '_' and '-', the first a letter or a digit",
    MODEL: "the name of a model, of up to 128 letters, digits and ._/:@-",
    ID: "an id as a list shows it, such as key_2mVqTz8bKx1c",
    EXCHANGE: "the id of an exchange, `ex-` and 24 hexadecimal digits: x-watchgate-receipt",
    ENTITLEMENT: "up to 63 small letters, digits and '_', the first a letter",
}
"""Pattern → what texts that match it are."""
_SUBJECTS: Final = ("Input", "String", "List", "Dictionary", "Value")


def told(error: Mapping[str, Any]) -> tuple[str, str]:
    """Return which parameter is at fault, and a sentence about what is wrong with it.

    It quotes nothing of what was sent but the names of fields.
    """
    kind, loc = error["type"], error["loc"]
    if kind == "json_invalid":
        return "body", f"The body is not JSON, from character {loc[-1] + 1} on."
    name = _name_of(loc)
    if kind == "missing":
        return name, f"The parameter {name!r} is missing."
    if kind == "extra_forbidden":
        return name, f"The parameter {name!r} is not known."
    return name, f"The parameter {name!r} is wrong: {_words(error)}."


def quoted(name: str) -> str:
    """Return a name that may be the caller's own invention; of a longer one only the start."""
    return name if len(name) <= _MAX_QUOTED else name[:_SHOWN_OF_LONGER] + "…"


def _words(error: Mapping[str, Any]) -> str:
    if error["type"] == "string_pattern_mismatch":
        pattern = error["ctx"]["pattern"]
        return f"expected {_EXPECTED.get(pattern, f'what matches {pattern}')}"
    said: str = error["msg"].removeprefix("Value error, ")
    said = said.replace(" after validation", "")
    for subject in _SUBJECTS:
        said = said.replace(f"{subject} should", "it must", 1)
    return said


def _name_of(loc: tuple[Any, ...]) -> str:
    """Return a parameter's name: `rules.models.0` for what is within."""
    return ".".join(quoted(str(part)) for part in loc[1:] or loc)
