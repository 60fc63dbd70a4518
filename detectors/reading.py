"""What is wrong with a file or a line that somebody named, in our words and never in the file's."""

import types
from pathlib import Path
from typing import Any, Final, get_args

import msgspec

from detectors.errors import DataError

_KINDS: Final = {str: "a string", int: "a whole number", tuple: "a list of strings"}


def unreadable(path: Path, error: OSError | UnicodeDecodeError, right: str) -> DataError:
    """Return the error of a file that cannot be read; `right` says which file would be right."""
    if isinstance(error, UnicodeDecodeError):
        return DataError(f"{path} is not UTF-8: {error.reason} at byte {error.start}; name {right}")
    why = "it is a folder" if isinstance(error, IsADirectoryError) else error.strerror
    return DataError(f"{path} cannot be read: {why}; name {right}")


def no_row(line: bytes | str, row: type[msgspec.Struct], right: str) -> str:
    """Say why a line is none of the rows `row`; `right` is an example of one that is."""
    return f"{_why(line, row)}; a right line is {right}"


def _why(line: bytes | str, row: type[msgspec.Struct]) -> str:
    try:
        found = msgspec.json.decode(line)
    except UnicodeDecodeError:
        return "it is not UTF-8"
    except (msgspec.DecodeError, RecursionError):
        return "it is not JSON"
    if not isinstance(found, dict):
        return "it is not a JSON object"
    return next(
        filter(None, (_wrong(it, found) for it in msgspec.structs.fields(row))), "it is no row"
    )


def _wrong(field: msgspec.structs.FieldInfo, found: dict[str, Any]) -> str | None:
    if field.name not in found:
        return f"it has no {field.name}" if field.required else None
    try:
        msgspec.convert(found[field.name], field.type)
    except msgspec.ValidationError:
        return f"its {field.name} is not {_kind(field.type)}"
    return None


def _kind(kind: Any) -> str:  # noqa: ANN401 - an annotation
    """Return words for an annotation of a row's field, `str | int | None` say."""
    kinds = get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    named = [getattr(it, "__origin__", it) for it in kinds if it is not types.NoneType]
    return " or ".join(_KINDS[it] for it in named)
