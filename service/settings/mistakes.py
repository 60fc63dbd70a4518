"""What is wrong in the settings: where, and what would be right."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.errors import ConfigError

Where = tuple[str | int, ...]
"""A path of keys; numbers are places in lists."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong. `words` hold no value that was given: it may be a secret."""

    where: Where
    words: str

    def __str__(self) -> str:
        """Return one line that starts with the path of the key."""
        return f"{key_path(self.where)}: {' '.join(self.words.split())}"


def key_path(where: Where) -> str:
    """Spell a path as the documents do: `models[0].tier`."""
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in where)
    return " ".join(path.removeprefix(".").split()) or "settings"


def refuse(mistakes: Iterable[Mistake]) -> None:
    """Raise what is wrong, if anything is.

    Raises:
        ConfigError: one line for each mistake.
    """
    if lines := [str(mistake) for mistake in mistakes]:
        raise ConfigError("\n".join(lines))
