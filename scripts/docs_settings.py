"""The tables of docs/settings.md."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from scripts.docs_tables import Table, code, sentence
from service.settings import Settings
from service.settings.keys import sections_in

_JSON_TYPES: Final = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "none",
    "array": "list",
    "object": "mapping",
}
_MANY: Final[dict[Any, str]] = {tuple: "[]", dict: ".N"}
"""How the path of one of several sections is written, by the type that holds them."""
_BOUNDS: Final = {
    "exclusiveMinimum": "over {}",
    "minimum": "at least {}",
    "maximum": "at most {}",
}


def settings() -> Sequence[Table | str]:
    """Return a heading, the section's docstring and a table for each section."""
    parts: list[Table | str] = []
    for path, section in _sections("", Settings):
        parts += [f"## {code(path)}" if path else "## Top level", sentence(section.__doc__)]
        names = [name for name, field in section.model_fields.items() if not _is_one(field)]
        schema = section.model_json_schema()
        if rows := [_row(path, section, schema, name) for name in names]:
            parts.append(Table(["key", "type", "default"], rows, words="what it is"))
    return parts


def _sections(path: str, section: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, section
    for name, field in section.model_fields.items():
        inner = list(sections_in(field.annotation))
        for model in inner:
            kind = model.model_fields.get("kind")
            which = f" (kind: {get_args(kind.annotation)[0]})" if kind and len(inner) > 1 else ""
            many = _MANY.get(get_origin(field.annotation), "")
            yield from _sections(_join(path, name) + many + which, model)


def _is_one(field: FieldInfo) -> bool:
    """Say whether a key always holds exactly one section, which a table of its own describes."""
    return any(sections_in(field.annotation)) and isinstance(field.default, BaseModel)


def _row(path: str, section: type[BaseModel], schema: dict[str, Any], name: str) -> list[str]:
    field = section.model_fields[name]
    inner = list(sections_in(field.annotation))
    type_ = _type(schema["properties"][name], schema.get("$defs", {})) if not inner else "section"
    if inner and (many := get_origin(field.annotation)) in _MANY:
        type_ = "list of sections" if many is tuple else "mapping to sections"
    return [code(_join(path, name)), type_, _default(field)]


def _join(path: str, name: str) -> str:
    return f"{path.split(' (', maxsplit=1)[0]}.{name}" if path else name


def _type(schema: dict[str, Any], defs: dict[str, Any]) -> str:
    if "$ref" in schema:
        schema = defs[schema["$ref"].rsplit("/", 1)[-1]]
    if "anyOf" in schema:
        return " or ".join(_type(option, defs) for option in schema["anyOf"])
    if "const" in schema:
        return code(schema["const"])
    if "enum" in schema:
        return ", ".join(code(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return _list(schema, defs)
    if isinstance(inner := schema.get("additionalProperties"), dict):
        return f"mapping to {_type(inner, defs)}"
    bounds = [words.format(schema[key]) for key, words in _BOUNDS.items() if key in schema]
    return ", ".join([_name(schema), *bounds])


def _list(schema: dict[str, Any], defs: dict[str, Any]) -> str:
    first, *more = schema.get("prefixItems") or [schema["items"]]
    count = f"{1 + len(more)}: " if more else ""
    return f"list of {count}{_type(first, defs)}"


def _name(schema: dict[str, Any]) -> str:
    special = {"path": "path", "password": "secret"}
    return special.get(schema.get("format", "")) or _JSON_TYPES[schema["type"]]


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "none"
    if field.default is PydanticUndefined:
        return "required"
    value = field.default
    if isinstance(value, tuple) and any(isinstance(it, BaseModel) for it in value):
        value = [it.model_dump(exclude_defaults=True) for it in value]
    return "none" if value is None or value == () else code(json.dumps(value, default=str))
