"""The keys of a rule, and how each is read.

A reader takes a value and gives what the rule holds, or raises `WrongValueError` with the end of
a sentence: what it is, and what would be right.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from detectors.api import Category, Part
from detectors.errors import ArtefactError
from detectors.rules import canary, fuzzy
from detectors.rules.encoded import Kind
from detectors.rules.engine import Pattern
from detectors.rules.rule import Example, Flag, Form, Fuzzy, Tests
from detectors.rules.secret_formats import FORMATS

MATCHERS = ("pattern", "secret", "encoded", "fuzzy", "canary")
"""A rule has one of these keys at least."""

_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_Word = TypeVar("_Word", bound=StrEnum)


class WrongValueError(ValueError):
    """The end of a sentence about a key."""


class Key(NamedTuple):
    """A key of a rule."""

    is_needed: bool
    read: Callable[[Any, Path], object]
    """Takes the value and the folder of the rule file."""


def shown(value: object) -> str:
    """Return a value as an error shows it: short."""
    found = repr(value)
    return found if len(found) <= 60 else found[:60] + "…"  # noqa: PLR2004 - one line of a terminal


def mapping_with(value: object, keys: Collection[str]) -> Mapping[str, Any]:
    """Return a mapping that has some of the keys, and no others."""
    if not isinstance(value, dict):
        raise WrongValueError(f"is {shown(value)}, but must be a mapping with {_listed(keys)}")
    for key in value:
        if key not in keys:
            raise WrongValueError(f"has the key {shown(key)}, but may have {_listed(keys)} alone")
    return value


def _listed(words: Collection[str]) -> str:
    return ", ".join(words)


def _id(value: object, _folder: Path) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise WrongValueError(f"is {shown(value)}, but must be kebab-case, such as hidden-letters")
    return value


def _sentence(value: object, _folder: Path) -> str:
    if not isinstance(value, str) or not value.strip():
        raise WrongValueError(f"is {shown(value)}, but must be a sentence")
    return value.strip()


def _probability(value: object, _folder: Path) -> float:
    return _share(value)


def _share(value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value <= 1:  # type: ignore[operator]
        raise WrongValueError(f"is {shown(value)}, but must be a number above 0 and at most 1")
    return float(value)  # type: ignore[arg-type]


def _word(kind: type[_Word]) -> Callable[[object, Path], _Word]:
    def read(value: object, _folder: Path) -> _Word:
        try:
            return kind(value)  # type: ignore[arg-type]
        except ValueError:
            raise WrongValueError(
                f"is {shown(value)}, but must be one of: {_listed(list(kind))}"
            ) from None

    return read


def _words(kind: type[_Word]) -> Callable[[object, Path], tuple[_Word, ...]]:
    read = _word(kind)

    def read_all(value: object, folder: Path) -> tuple[_Word, ...]:
        return tuple(dict.fromkeys(read(it, folder) for it in _list(value)))

    return read_all


def _list(value: object) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise WrongValueError(f"is {shown(value)}, but must be a list with one entry at least")
    return value


def _texts(value: object) -> list[str]:
    found = _list([value] if isinstance(value, str) else value)
    for it in found:
        if not isinstance(it, str) or not it:
            raise WrongValueError(f"holds {shown(it)}, but must hold texts; put it in quotes")
    return found


def _pattern(value: object, _folder: Path) -> tuple[str, ...]:
    for it in _texts(value):
        try:
            is_everywhere = Pattern(it).found_in(b"")
        except ValueError as error:
            raise WrongValueError(
                f"is {shown(it)}, which RE2 refuses: {error}; RE2 has no look-around and no "
                "back-references"
            ) from None
        if is_everywhere:
            raise WrongValueError(
                f"is {shown(it)}, which matches the empty text; let it ask for more"
            )
    return tuple(_texts(value))


def _one_pattern(value: object, folder: Path) -> str:
    if not isinstance(value, str):
        raise WrongValueError(f"is {shown(value)}, but must be one pattern")
    return _pattern(value, folder)[0]


def _claim(value: object, _folder: Path) -> bool:
    if not isinstance(value, bool):
        raise WrongValueError(f"is {shown(value)}, but must be true or false")
    return value


def _secret(value: object, _folder: Path) -> tuple[str, ...]:
    for it in _texts(value):
        if it not in FORMATS:
            raise WrongValueError(f"is {shown(it)}, but must be of: {_listed(FORMATS)}")
    return tuple(dict.fromkeys(_texts(value)))


def _fuzzy(value: object, folder: Path) -> Fuzzy:
    found = mapping_with(value, ("signatures", "least"))
    name = found.get("signatures")
    if not isinstance(name, str):
        raise WrongValueError("must name a file of signatures beside the rule file as signatures")
    try:
        return Fuzzy(fuzzy.load(folder / name), _share(found.get("least")))
    except ArtefactError as error:
        raise WrongValueError(f"names signatures that cannot be used: {error}") from None
    except WrongValueError as error:
        raise WrongValueError(f"has a least that {error}") from None


def _canary(value: object, _folder: Path) -> canary.Canary:
    found = mapping_with(value, ("plain", "sha256"))
    plain = [canary.normal(it) for it in _texts(found["plain"])] if "plain" in found else []
    digests = _texts(found["sha256"]) if "sha256" in found else []
    if any(len(it) < canary.LEAST_CHARACTERS for it in plain):
        raise WrongValueError(
            f"has a plain one of fewer than {canary.LEAST_CHARACTERS} bytes; plant a longer one"
        )
    if not all(map(_DIGEST.fullmatch, digests)):
        raise WrongValueError("has a sha256 that is not 64 digits in lower-case hex")
    if not plain and not digests:
        raise WrongValueError("must have plain or sha256, each a list of texts")
    return canary.Canary(tuple(plain), frozenset(digests))


def _tests(value: object, _folder: Path) -> Tests:
    found = mapping_with(value, ("match", "no_match"))
    missing = [key for key in ("match", "no_match") if key not in found]
    if missing:
        raise WrongValueError(
            f"lacks {missing[0]}: give one text at least that it must and must not match"
        )
    return Tests(tuple(_examples(found["match"])), tuple(_examples(found["no_match"])))


def _examples(value: object) -> Iterator[Example]:
    for it in _list(value):
        if isinstance(it, str):
            yield Example(it)
            continue
        found = mapping_with(it, ("prompt", "answer"))
        if not all(isinstance(found.get(key), str) for key in ("prompt", "answer")):
            raise WrongValueError("holds an exchange without the texts prompt and answer")
        yield Example(found["answer"], found["prompt"])


KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "id": Key(True, _id),
        "category": Key(True, _word(Category)),
        "parts": Key(True, _words(Part)),
        "description": Key(True, _sentence),
        "probability": Key(True, _probability),
        "pattern": Key(False, _pattern),
        "flags": Key(False, _words(Flag)),
        "text": Key(False, _word(Form)),
        "prompt_pattern": Key(False, _one_pattern),
        "unless_in_prompt": Key(False, _claim),
        "secret": Key(False, _secret),
        "encoded": Key(False, _words(Kind)),
        "fuzzy": Key(False, _fuzzy),
        "canary": Key(False, _canary),
        "tests": Key(True, _tests),
    }
)
"""Every key that a rule may have."""
