"""Putting watchgate.yaml and the environment together, and telling all that is wrong with them."""

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from service.settings.environment import merge, read_environment
from service.settings.file import Filled, read_file
from service.settings.mistakes import Mistake, Where, refuse
from service.settings.references import CHECKS, Check
from service.settings.sections import Settings
from service.settings.words import mistakes_of

ASTERISKS: Final = "**********"
"""As pydantic shows a secret."""
_PASSWORD: Final = re.compile(r"(?<=://)[^/]*(?=@)")
"""An address's user and password."""
_REQUIRED: Final = tuple(name for name, key in Settings.model_fields.items() if key.is_required())


def load(path: Path, also: Sequence[Check] = ()) -> Settings:
    """Read the settings of a file, and of the environment, which wins.

    Raises:
        ConfigError: one line for each mistake, in the file's order; `also` are further checks.
    """
    written = read_file(path)
    filled = Filled(written.values, os.environ)
    given = read_environment(os.environ, filled.named)
    values = merge(filled.values, given.values)
    _place_store(values)
    settings, mistakes = _check(values, path, [*written.twice, *filled.unset], [*CHECKS, *also])
    refuse([*_told(mistakes, _sources(written.lines, given.by)), *given.mistakes])
    return settings


def redacted(settings: Settings) -> dict[str, Any]:
    """Return the effective settings as plain JSON values, secrets as asterisks."""
    effective = settings.model_dump(mode="json")
    alerts = effective["alerts"]
    alerts["alertmanagers"] = [_PASSWORD.sub(ASTERISKS, url) for url in alerts["alertmanagers"]]
    if "url" in (limits := effective["limits"]):
        limits["url"] = _PASSWORD.sub(ASTERISKS, limits["url"])
    effective["store"]["url"] = _PASSWORD.sub(ASTERISKS, effective["store"]["url"])
    return effective


def _place_store(values: dict[str, Any]) -> None:
    """Keep the store in data_dir, unless it is told where to be."""
    store = values.setdefault("store", {})
    if isinstance(store, dict):
        data_dir = values.get("data_dir", Settings.model_fields["data_dir"].default)
        store.setdefault("url", f"sqlite:///{data_dir}/watchgate.db")


def _check(
    values: Mapping[str, Any], path: Path, known: Sequence[Mistake], checks: Iterable[Check]
) -> tuple[Settings, list[Mistake]]:
    """Return the settings, as far as they are right, and all that is wrong."""
    context = {"base": path.absolute().parent}
    places = {mistake.where for mistake in known}
    wrong = [it for it in _problems(values, context) if it.where not in places]
    bad = {mistake.where[0] for mistake in (*known, *wrong)}
    sound = {name: value for name, value in values.items() if name not in bad}
    stand_ins = {name: () for name in _REQUIRED if name in bad}
    settings = Settings.model_validate(sound | stand_ins, context=context)
    found = [it for check in checks if not check.sections & bad for it in check.look(settings)]
    return settings, [*known, *wrong, *found]


def _problems(values: Mapping[str, Any], context: Mapping[str, Any]) -> list[Mistake]:
    try:
        Settings.model_validate(values, context=context)
    except ValidationError as error:
        return mistakes_of(error, values)
    return []


def _sources(lines: Mapping[Where, int], by: Mapping[Where, str]) -> dict[Where, str]:
    """Say of each path where it comes from, in the file's order; then what is not in the file."""

    def is_replaced(where: Where) -> bool:
        above = ((where[:n], where[n]) for n in range(1, len(where)))
        return any(path in by and isinstance(key, int) for path, key in above)

    in_file = {it: f"line {line}" for it, line in lines.items() if not is_replaced(it)}
    return in_file | {where: f"from {name}" for where, name in by.items()}


def _told(mistakes: Collection[Mistake], sources: Mapping[Where, str]) -> list[Mistake]:
    """Return mistakes in the order of the file, each with where it comes from."""
    order = {where: number for number, where in enumerate(sources)}
    told = []
    for mistake in sorted(mistakes, key=lambda it: order.get(_nearest(it.where, sources), -1)):
        source = sources.get(_nearest(mistake.where, sources))
        words = f"{mistake.words} ({source})" if source else mistake.words
        told.append(Mistake(mistake.where, words))
    return told


def _nearest(where: Where, sources: Collection[Where]) -> Where:
    """Return the path, or the nearest above it, that was written."""
    return next((where[:n] for n in range(len(where), 0, -1) if where[:n] in sources), ())
