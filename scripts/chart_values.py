"""The chart's values.yaml: each value with its path, its default, and the comment above its key."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

CHART: Final = Path(__file__).resolve().parents[1] / "deploy" / "helm" / "watchgate"
VALUES: Final = CHART / "values.yaml"
Keys = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Value:
    """A key of values.yaml."""

    keys: Keys
    default: Any
    words: str
    """The comment above it, on one line; empty if there is none."""

    @property
    def path(self) -> str:
        """The path as `helm --set` takes it."""
        return ".".join(self.keys)

    @property
    def is_section(self) -> bool:
        """Say whether it holds keys that are described on their own."""
        return isinstance(self.default, dict) and bool(self.default)


def values_of(text: str) -> list[Value]:
    """Return all keys that stand on lines of their own, in order, sections before what they hold.

    Mappings in flow style, such as `{ports: [5432], to: []}`, are one value.
    """
    root = yaml.compose(text, yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise TypeError("values.yaml holds no mapping")
    return list(_below(root, (), text.splitlines()))


def _below(node: yaml.MappingNode, above: Keys, lines: Sequence[str]) -> Iterator[Value]:
    for key, value in node.value:
        keys = (*above, str(key.value))
        default = yaml.SafeLoader("").construct_document(value)
        yield Value(keys, default, _comment_above(key.start_mark.line, lines))
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            yield from _below(value, keys, lines)


def _comment_above(line: int, lines: Sequence[str]) -> str:
    words: list[str] = []
    for text in reversed(lines[:line]):
        if not text.strip().startswith("#"):
            break
        words.insert(0, text.strip().removeprefix("#").strip())
    return " ".join(words)
