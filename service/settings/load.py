"""Reading watchgate.yaml and the environment."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from service.core.tiers import unbuilt_safeguards
from service.errors import ConfigError
from service.settings.answer_windows import check_answer_points, check_answer_window
from service.settings.sections import Settings


class _Environment(Settings, BaseSettings):
    """How the environment names the settings.

    Nothing is validated as this: the constructor of `BaseSettings` loses the context, by which
    relative paths are relative to the file.
    """

    model_config = SettingsConfigDict(env_prefix="WATCHGATE_", env_nested_delimiter="__")


def load(path: Path) -> Settings:
    """Read the settings of a file, and of the environment, which wins.

    Raises:
        ConfigError: one line, the path of the key first.
    """
    written = _with_environment(_read_yaml(path), "")
    merged = _merge(written, EnvSettingsSource(_Environment)())
    _place_store(merged)
    try:
        settings = Settings.model_validate(merged, context={"base": path.absolute().parent})
    except ValidationError as error:
        raise ConfigError(_one_line(error)) from None
    _check_references(settings)
    return settings


def _place_store(merged: dict[str, Any]) -> None:
    """Keep the store in data_dir, unless it is told where to be."""
    store = merged.setdefault("store", {})
    if isinstance(store, dict):
        data_dir = merged.get("data_dir", Settings.model_fields["data_dir"].default)
        store.setdefault("url", f"sqlite:///{data_dir}/watchgate.db")


def redacted(settings: Settings) -> dict[str, Any]:
    """Return the effective settings as plain JSON values, secrets as asterisks."""
    return settings.model_dump(mode="json")


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file; name one with --config, or copy watchgate.example.yaml",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {_yaml_problem(error)}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected a mapping of settings, see watchgate.example.yaml")
    return data


_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def _with_environment(value: Any, path: str) -> Any:  # noqa: ANN401  (whatever YAML holds)
    """Put the environment's values where a text names them."""
    if isinstance(value, dict):
        return {
            key: _with_environment(item, f"{path}.{key}" if path else str(key))
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_with_environment(item, f"{path}[{i}]") for i, item in enumerate(value)]
    return _VARIABLE.sub(_lookup(path), value) if isinstance(value, str) else value


def _lookup(path: str) -> Callable[[re.Match[str]], str]:
    def value_of(match: re.Match[str]) -> str:
        name = match[1]
        if name not in os.environ:
            raise ConfigError(f"{path}: the environment variable {name} is not set")
        return os.environ[name]

    return value_of


def _merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `under` with the values of `over`, mappings merged deeply."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        merged[key] = _merge(below or {}, value) if both else value
    return merged


def _one_line(error: ValidationError) -> str:
    first, *rest = error.errors(include_input=False, include_url=False)
    more = f" (and {len(rest)} more)" if rest else ""
    unknown = first["type"] == "extra_forbidden"
    message = "unknown setting" if unknown else first["msg"].removeprefix("Value error, ")
    return f"{_key_path(first['loc'])}: {message}{more}"


def _key_path(loc: tuple[int | str, ...]) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return path.removeprefix(".") or "settings"


def _yaml_problem(error: yaml.YAMLError) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(error).split())
    mark = error.problem_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"


def _check_references(settings: Settings) -> None:
    """Refuse names that stand for nothing, or for two things, and tiers that cannot be kept."""
    _check_unique("upstreams", [u.name for u in settings.upstreams])
    _check_unique("models", [m.name for m in settings.models])
    _check_unique("operating_points", [p.name for p in settings.operating_points])
    _check_listeners(settings)
    upstreams = {u.name for u in settings.upstreams}
    models = {m.name for m in settings.models}
    for i, model in enumerate(settings.models):
        if model.upstream not in upstreams:
            raise ConfigError(
                f"models[{i}].upstream: no upstream is named {model.upstream!r}; "
                f"there are: {', '.join(sorted(upstreams)) or 'none'}",
            )
        if missing := unbuilt_safeguards(model.tier):
            raise ConfigError(
                f"models[{i}].tier: tier {model.tier} requires safeguards that this version "
                f"does not have yet: {', '.join(missing)}; tiers 0 and 1 can be served "
                "(a model without a tier is tier 4)",
            )
        check_answer_window(settings, i)
    for i, point in enumerate(settings.operating_points):
        for unknown in sorted(set(point.models) - models):
            raise ConfigError(f"operating_points[{i}].models: no model is named {unknown!r}")
    check_answer_points(settings)


def _check_listeners(settings: Settings) -> None:
    """Refuse two servers of ours on one port; 0 is whatever is free."""
    taken: dict[int, str] = {}
    for name, port in (
        ("gateway.port", settings.gateway.port),
        ("console.port", settings.console.port),
        ("ops.port", settings.ops.port),
    ):
        if port and port in taken:
            raise ConfigError(f"{name}: {port} is taken by {taken[port]}")
        taken[port] = name


def _check_unique(path: str, names: Sequence[str]) -> None:
    for i, name in enumerate(names):
        if name in names[:i]:
            raise ConfigError(
                f"{path}[{i}]: {name!r} is already taken by {path}[{names.index(name)}]"
            )
