"""An event of every kind with every field filled, made from the schema: nothing is left out."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import inspect

from service.events import audit, dead_letters, schema
from service.events.log import Record

EVENTS: Final = (schema.Opened, schema.Closed, schema.Verdict, audit.Denied, audit.Anchor)
"""Dead letters are left out: workers make them of records."""
OTHERS: Final = (dead_letters.DeadLetter, dead_letters.Original)


def example(kind: type[Any], **given: Any) -> Any:  # noqa: ANN401  (of any struct)
    """Return a struct with all of its fields filled, those that are given as they are."""
    fields = msgspec.structs.fields(kind)
    filled = {it.name: _value(inspect.type_info(it.type), it.name) for it in fields}
    if "v" in filled:
        filled["v"] = schema.VERSION
    return kind(**filled | given)


def record_of(event: Any, content: bytes | None = None) -> Record:  # noqa: ANN401
    """Return an event as it is appended."""
    if isinstance(event, audit.Denied | audit.Anchor):
        return audit.to_record(event)
    return schema.to_record(event, content)


def _value(kind: inspect.Type, name: str) -> Any:  # noqa: ANN401  (of any type)
    match kind:
        case inspect.UnionType(types):
            return _value(next(it for it in types if not isinstance(it, inspect.NoneType)), name)
        case inspect.StructType(cls):
            return example(cls)
        case inspect.VarTupleType(item):
            return (_value(item, name),)
        case inspect.DictType(key, value):
            return {_value(key, name): _value(value, name)}
        case inspect.LiteralType(values):
            return min(values, key=str)
    return _PLAIN[type(kind)](name)


_PLAIN: Final[Mapping[type[inspect.Type], Callable[[str], Any]]] = {
    inspect.StrType: lambda name: "0f" * 32 if name == "mac" else name,
    inspect.BytesType: str.encode,
    inspect.BoolType: lambda _: True,
    inspect.IntType: lambda _: 1,
    inspect.FloatType: lambda _: 1.5,
}
"""A value for each plain type; a field of another type needs one here."""


def schema_of_events() -> dict[str, Any]:
    """Return the JSON Schema of all events, to be compared with a later one."""
    _, components = msgspec.json.schema_components([*EVENTS, *OTHERS])
    return dict(json.loads(msgspec.json.encode(components)))
