"""Settings that variables of the environment hold: `WATCHGATE_GATEWAY__PORT` is `gateway.port`."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from service.settings.keys import nearest, variables
from service.settings.mistakes import Mistake, Where

PREFIX: Final = "WATCHGATE_"
CONFIG_VARIABLE: Final = "WATCHGATE_CONFIG"
"""Names the file."""
ADMIN_URL_VARIABLE: Final = "WATCHGATE_ADMIN_URL"
"""Where commands find the admin API, if not on this machine."""
ADMIN_TOKEN_VARIABLE: Final = "WATCHGATE_ADMIN_TOKEN"  # noqa: S105  (its name)
"""What they show there."""
_NO_SETTINGS: Final = (CONFIG_VARIABLE, ADMIN_URL_VARIABLE, ADMIN_TOKEN_VARIABLE)
"""The variables of ours that are no settings."""
_OF_KUBERNETES: Final = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_|$)|_PORT_\d+_[A-Z]+(_[A-Z]+)?$")
_ADDRESS: Final = re.compile(r"(tcp|udp|sctp)://")


@dataclass(slots=True)
class Given:
    """What the environment says of the settings."""

    values: dict[str, Any] = field(default_factory=dict)
    by: dict[Where, str] = field(default_factory=dict)
    """Which variable gave what is at a path; lists are given whole."""
    mistakes: list[Mistake] = field(default_factory=list)


def read_environment(environment: Mapping[str, str], named: Collection[str]) -> Given:
    """Read the variables; `named` are those that the file takes a value from by `${NAME}`."""
    known = dict(_known())
    given = Given()
    for name, text in sorted(environment.items()):
        if not name.upper().startswith(PREFIX) or name in _NO_SETTINGS:
            continue
        if (found := known.get(name.upper())) is not None:
            _take(given, name, text, *found)
        elif name not in named and not _is_kubernetes(name, text):
            given.mistakes.append(Mistake((name,), _unknown(name, known)))
    return given


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `under` with the values of `over`, mappings merged deeply."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        merged[key] = merge(below or {}, value) if both else value
    return merged


def _known() -> Iterator[tuple[str, tuple[Where, bool]]]:
    for where, as_json in variables():
        yield PREFIX + "__".join(map(str, where)).upper(), (where, as_json)


def _take(given: Given, name: str, text: str, where: Where, as_json: bool) -> None:
    value: Any = text
    if as_json:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):  # whose words might quote the value
            given.mistakes.append(Mistake((name,), 'expected JSON, such as ["a"] or {"a": 1}'))
            return
    given.by |= dict.fromkeys(_paths(where, value), name)
    for key in reversed(where):
        value = {key: value}
    given.values = merge(given.values, value)


def _paths(where: Where, value: Any) -> Iterator[Where]:  # noqa: ANN401  (whatever JSON holds)
    yield where
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths((*where, key), inner)


def _is_kubernetes(name: str, text: str) -> bool:
    """Say whether Kubernetes set it: it does so for each Service, and one may be ours by name."""
    is_address = name.endswith("_PORT") and _ADDRESS.match(text)
    return bool(is_address or _OF_KUBERNETES.search(name))


def _unknown(name: str, known: Collection[str]) -> str:
    there_are = [it.removeprefix(PREFIX) for it in (*known, *_NO_SETTINGS)]
    given = name.upper().removeprefix(PREFIX)
    section = given.partition("__")[0]
    near = nearest(given, there_are) or (section if section in there_are else None)
    hint = f"the nearest is {PREFIX}{near}" if near else "docs/settings.md lists what there is"
    return f"no setting has this name; {hint}"
