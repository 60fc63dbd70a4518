"""What each consumer group has acknowledged: a small JSON file a group, replaced atomically."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from service.core.unreadable import UNREADABLE
from service.errors import EventLogError
from service.events.log import Position

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(dict[str, tuple[int, int]])


class Group:
    """One group's acknowledgements: for each journal the last position, durable once saved."""

    def __init__(self, folder: Path, name: str) -> None:
        """Name the file; nothing is read yet."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / f"{name}.json"

    def load(self) -> dict[str, Position]:
        """Return the acknowledged position of each journal that has one.

        Raises:
            EventLogError: the file is not what `save` writes.
        """
        try:
            rows = _decoder.decode(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except UNREADABLE as error:
            raise EventLogError(f"{self._path.name} is damaged: {error}") from None
        return {log: Position(log, segment, offset) for log, (segment, offset) in rows.items()}

    def save(self, positions: Mapping[str, Position]) -> None:
        """Replace the file, durably: either the old or the new content survives anything."""
        temporary = self._path.with_suffix(".tmp")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            rows = {log: (position.part, position.offset) for log, position in positions.items()}
            os.write(fd, _encoder.encode(rows))
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(self._path)
        sync_folder(self._path.parent)


def sync_folder(folder: Path) -> None:
    """Make new names in a folder survive a loss of power."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def groups_folder(root: Path) -> Path:
    """Return where consumer groups keep what they acknowledged, for a folder of journals."""
    return root / "groups"
