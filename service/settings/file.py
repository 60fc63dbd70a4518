"""Reading watchgate.yaml: its values, where each key stands, and which come twice."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from service.errors import ConfigError
from service.settings.mistakes import Mistake, Where


@dataclass(frozen=True, slots=True)
class Written:
    """The settings as a file has them."""

    values: dict[str, Any]
    lines: Mapping[Where, int]
    """The line of each key and list item, from 1, in the file's order."""
    twice: list[Mistake]
    """Keys that come more than once: YAML's readers keep the last one, and say nothing."""


def read_file(path: Path) -> Written:
    """Read a file of settings.

    Raises:
        ConfigError: it cannot be read, or is no mapping.
    """
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        values = loader.get_single_data()
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file; name one with --config, or copy watchgate.example.yaml",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except (yaml.YAMLError, ValueError) as error:  # the latter of dates that there are not
        raise ConfigError(f"{path}: not YAML: {_problem(error)}") from None
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of settings, see watchgate.example.yaml")
    return Written(values, loader.lines, loader.twice)


_KEYS_OF_YAML: Final = frozenset({"tag:yaml.org,2002:merge", "tag:yaml.org,2002:value"})
"""`<<` and `=`, which construct nothing by themselves."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which also notes where keys stand."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lines: dict[Where, int] = {}
        self.twice: list[Mistake] = []
        self._noted: set[yaml.Node] = set()
        self._within: list[yaml.Node] = []

    def construct_document(self, node: yaml.Node) -> Any:  # noqa: ANN401  (whatever YAML holds)
        """Note the keys first: constructing a mapping drops those that come again."""
        self._note((), node)
        return super().construct_document(node)

    def _note(self, where: Where, node: yaml.Node) -> None:
        if node in self._within:
            problem = "an alias of what it stands in"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        if node in self._noted:
            return  # an alias
        self._noted.add(node)
        self._within.append(node)
        if isinstance(node, yaml.MappingNode):
            self._note_mapping(where, node)
        elif isinstance(node, yaml.SequenceNode):
            for i, item in enumerate(node.value):
                self.lines.setdefault((*where, i), _line(item))
                self._note((*where, i), item)
        self._within.pop()

    def _note_mapping(self, where: Where, node: yaml.MappingNode) -> None:
        lines: defaultdict[str, list[int]] = defaultdict(list)
        for key, value in node.value:
            is_yamls = key.tag in _KEYS_OF_YAML
            name = key.value if is_yamls else str(self.construct_object(key, deep=True))
            lines[name].append(_line(key))
            self.lines.setdefault((*where, name), _line(key))
            self._note((*where, name), value)
        for name, found in lines.items():
            if len(found) > 1:
                again = "line " if len(found) == 2 else "lines "  # noqa: PLR2004
                again += " and ".join(map(str, found[1:]))
                self.twice.append(Mistake((*where, name), f"comes again in {again}: keep one"))


def _line(node: yaml.Node) -> int:
    line: int = node.start_mark.line
    return line + 1


def _problem(error: Exception) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(error).split())
    mark = error.problem_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"


_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Filled:
    """Values of a file in which `${NAME}` has become what the environment says."""

    def __init__(self, values: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        """Fill in; `values` are what a file holds."""
        self._environment = environment
        self.named: set[str] = set()
        """The variables that the file names."""
        self.unset: list[Mistake] = []
        self.values: dict[str, Any] = self._fill(values, ())

    def _fill(self, value: Any, where: Where) -> Any:  # noqa: ANN401  (whatever YAML holds)
        if isinstance(value, dict):  # the environment writes tiers as texts: so are they here
            return {str(key): self._fill(item, (*where, str(key))) for key, item in value.items()}
        if isinstance(value, list):
            return [self._fill(item, (*where, i)) for i, item in enumerate(value)]
        return self._fill_text(value, where) if isinstance(value, str) else value

    def _fill_text(self, text: str, where: Where) -> str:
        names = set(_VARIABLE.findall(text))
        self.named |= names
        self.unset += [
            Mistake(where, f"the environment variable {name} is not set")
            for name in sorted(names.difference(self._environment))
        ]
        return _VARIABLE.sub(lambda match: self._environment.get(match[1], ""), text)
