"""The tables of docs/events.md."""

from collections.abc import Sequence
from typing import Any, Final, Literal, get_args, get_origin

import msgspec

from scripts.docs_tables import Table, code, sentence
from service.core.probed import Probed, Reading
from service.events import audit, dead_letters, schema

_EVENTS: Final = (
    schema.Opened,
    schema.Closed,
    schema.Timings,
    schema.Receipt,
    Probed,
    Reading,
    schema.Screening,
    schema.Verdict,
    schema.Crossing,
    schema.ReadByProbes,
    dead_letters.DeadLetter,
    dead_letters.Original,
    audit.Denied,
    audit.Anchor,
)
_NAMES: Final = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}


def events() -> Sequence[Table | str]:
    """Return a heading, the docstring and a table for each event and each part of one."""
    parts: list[Table | str] = [_heading(schema.Event), sentence(schema.Event.__doc__)]
    parts.append(_table(schema.Event, without=set()))
    shared = set(schema.Event.__struct_fields__)
    for struct in _EVENTS:
        inherits = issubclass(struct, schema.Event)
        parts += [_heading(struct), sentence(struct.__doc__)]
        parts.append(_table(struct, without=shared if inherits else set()))
    return parts


def outcomes() -> Sequence[Table]:
    """Every way in which an exchange ends."""
    rows = [[code(it)] for it in get_args(schema.Outcome)]
    return [Table(["outcome"], rows, words="the answer")]


def _heading(struct: type[msgspec.Struct]) -> str:
    tag = struct.__struct_config__.tag
    return f"### {struct.__name__}" + (f" (`kind`: `{tag}`)" if tag else "")


def _table(struct: type[msgspec.Struct], without: set[str]) -> Table:
    rows = [
        [code(f"{struct.__name__.lower()}.{field.encode_name}"), _type(field.type), _default(field)]
        for field in msgspec.structs.fields(struct)
        if field.name not in without
    ]
    return Table(["field", "type", "when absent"], rows, words="what it is")


def _type(annotation: Any) -> str:  # noqa: ANN401  (any type)
    name = getattr(annotation, "__name__", "")
    if annotation == schema.Outcome:
        return "an outcome, below"
    if get_origin(annotation) is Literal:
        return ", ".join(map(code, get_args(annotation)))
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation.__name__
    if arguments := [it for it in get_args(annotation) if it not in {type(None), Ellipsis}]:
        inner = " to ".join(map(_type, arguments))
        return {"tuple": f"list of {inner}", "dict": f"map of {inner}"}.get(name, inner)
    return {"bytes": "base64"}.get(name) or _NAMES[name]


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default_factory is not msgspec.NODEFAULT:
        return "empty"
    if field.default is msgspec.NODEFAULT:
        return "never absent"
    value = field.default
    if isinstance(value, int | float | str) and not isinstance(value, bool) and value != "":
        return code(value)
    return {None: "not known, or none", False: "no"}.get(value, "empty")
