"""What `watchgate detectors train --config` reads: strict YAML, every problem told at once.

Paths are relative to the file that names them.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from detectors.errors import ArtefactError, DataError
from detectors.retraining.rows import OWN, RowFile
from detectors.rules import strict_yaml
from detectors.rules.schema import WrongValueError, mapping_with, shown

SHIPPED: Final = "shipped"
AUTO: Final = "auto"


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """What is learnt from what. `base` is None for the shipped model, `prior` for a chosen one."""

    rows: tuple[RowFile, ...]
    output: Path
    base: Path | None = None
    seed: int = 0
    prior: float | None = None
    held_out: float = 0.0
    data: Path | None = None
    check_rows: tuple[Path, ...] = field(default=())


def read(path: Path) -> TrainingConfig:
    """Read a configuration.

    Raises:
        DataError: it cannot be read, or is wrong; tells every problem, each on a line.
    """
    try:
        content = strict_yaml.read(path)
    except ArtefactError as error:
        raise DataError(str(error)) from None
    if not isinstance(content, dict):
        others = ", ".join(it for it in KEYS if it not in _NEEDED)
        needed = " and ".join(_NEEDED)
        raise DataError(f"{path} must be a mapping: it needs {needed}, and may have {others}")
    values: dict[str, Any] = {}
    problems = [*_unknown(content), *_read(content, path.parent, values)]
    if problems:
        raise DataError("\n".join(f"{path}: {problem}" for problem in problems))
    return TrainingConfig(**values)


def _unknown(content: Mapping[Any, Any]) -> Iterator[str]:
    for key in content:
        if key in KEYS:
            continue
        near = get_close_matches(str(key), KEYS, n=1)
        advice = f"did you mean {near[0]}?" if near else f"there are: {', '.join(KEYS)}"
        yield f"the key {shown(key)} is not known; {advice}"


def _read(content: Mapping[Any, Any], folder: Path, values: dict[str, Any]) -> Iterator[str]:
    """Fill `values`, and yield what is wrong."""
    for name, read_key in KEYS.items():
        if name not in content:
            if name in _NEEDED:
                yield f"the key {name} is missing"
            continue
        try:
            values[name] = read_key(content[name], folder)
        except WrongValueError as error:
            yield f"{name} {error}"


def _path(value: object, folder: Path) -> Path:
    if not isinstance(value, str) or not value:
        raise WrongValueError(f"is {shown(value)}, but must be a path")
    return folder / Path(value).expanduser()


def _paths(value: object, folder: Path) -> tuple[Path, ...]:
    return tuple(_path(it, folder) for it in _list(value))


def _row_files(value: object, folder: Path) -> tuple[RowFile, ...]:
    return tuple(_row_file(it, folder) for it in _list(value))


def _row_file(value: object, folder: Path) -> RowFile:
    if isinstance(value, str):
        return RowFile(_path(value, folder))
    found = mapping_with(value, ("file", "licence"))
    licence = found.get("licence", OWN)
    if "file" not in found or not isinstance(licence, str) or not licence:
        raise WrongValueError(f"holds {shown(value)}, but must hold paths, or file and licence")
    return RowFile(_path(found["file"], folder), licence)


def _list(value: object) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise WrongValueError(f"is {shown(value)}, but must be a list with one entry at least")
    return value


def _base(value: object, folder: Path) -> Path | None:
    return None if value == SHIPPED else _path(value, folder)


def _seed(value: object, _folder: Path) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise WrongValueError(f"is {shown(value)}, but must be a whole number from 0 on")
    return value


def _prior(value: object, _folder: Path) -> float | None:
    if value == AUTO:
        return None
    number = _number(value)
    if not 0 < number < math.inf:
        raise WrongValueError(f"is {shown(value)}, but must be auto or a number above 0")
    return number


def _held_out(value: object, _folder: Path) -> float:
    number = _number(value)
    if not 0 <= number <= 0.5:  # noqa: PLR2004 - more would leave less to learn from than to judge by
        raise WrongValueError(f"is {shown(value)}, but must be a share from 0 to 0.5")
    return number


def _number(value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else math.nan  # type: ignore[arg-type]


KEYS: Mapping[str, Callable[[Any, Path], object]] = MappingProxyType(
    {
        "rows": _row_files,
        "output": _path,
        "base": _base,
        "seed": _seed,
        "prior": _prior,
        "held_out": _held_out,
        "data": _path,
        "check_rows": _paths,
    }
)
"""Every key of the file, and what reads it; takes the value and the file's folder."""

_NEEDED: Final = ("rows", "output")
