"""YAML as rules are written in it: a key that comes twice is refused, not quietly dropped."""

from pathlib import Path
from typing import Any

import yaml

from detectors.errors import ArtefactError
from detectors.reading import unreadable


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} comes twice", key.start_mark
                )
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read(path: Path) -> object:
    """Return what a YAML file holds.

    Raises:
        DataError: it cannot be read.
        ArtefactError: it is not YAML, or a key in it comes twice; names the line.
    """
    try:
        return _Loader(path.read_text(encoding="utf-8")).get_single_data()
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error, "a file of YAML") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ArtefactError(f"{path}{line}: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ArtefactError(f"{path} is not YAML: {error}") from None
    except RecursionError:
        raise ArtefactError(f"{path} is nested too deeply") from None
