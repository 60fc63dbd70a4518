"""Keeps when keys were last used: to the hour, so that a key costs one write an hour at most."""

from itertools import islice
from typing import Final

from service.store.engine import Store
from service.store.key_uses import note_key_uses

_HOUR_S: Final = 3600.0
_AT_ONCE: Final = 1000
"""The most keys of a transaction: other writers wait for it."""


class KeyUses:
    """Gathers uses of keys, and writes those that are of a new hour. Used from one thread."""

    def __init__(self, store: Store) -> None:
        """Know of no use."""
        self._store = store
        self._hour = 0.0
        self._known: set[str] = set()
        """The keys that were used in the newest hour, and need not be written again in it."""
        self._unsaved: dict[str, float] = {}

    def note(self, key: str, at: float) -> None:
        """Take note of a use of the key with this id, in Unix seconds."""
        hour = at // _HOUR_S * _HOUR_S
        if hour > self._hour:
            self._hour = hour
            self._known.clear()
        if key in self._known:
            return
        if hour == self._hour:
            self._known.add(key)
        self._unsaved[key] = max(hour, self._unsaved.get(key, 0.0))

    def save(self) -> None:
        """Write what is new, a thousand keys at most; what the store does not take stays."""
        if not self._unsaved:
            return
        hours = dict(islice(self._unsaved.items(), _AT_ONCE))
        with self._store.begin() as connection:
            note_key_uses(connection, hours)
        for key in hours:
            del self._unsaved[key]
