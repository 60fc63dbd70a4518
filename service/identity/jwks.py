"""The keys of an issuer, held in memory and refreshed by a thread: nobody ever waits for them."""

import logging
import math
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, Self, get_args

from service.core.jose import TokenDenial
from service.errors import KeysFault, KeysNotRead
from service.identity.keys import KeySet, PublicKey, read_key_set
from service.identity.places import Place

_log = logging.getLogger(__name__)
RETRY_S: Final = 10.0
OK, FAILED = "ok", "failed"
OUTCOMES: Final = (OK, FAILED, *get_args(KeysFault))
"""How a look at the keys may end."""
_UNREAD: Final = KeySet.of([])


@dataclass(frozen=True, slots=True)
class Pace:
    """How often keys are looked for."""

    refresh_s: float = 300.0
    max_stale_s: float = 3600.0
    """Keys that could not be read for so long prove nothing."""
    retry_s: float = RETRY_S
    """After a failure, and at the least between two looks, whoever asks for them."""

    @classmethod
    def of(cls, refresh_s: float, max_stale_s: float) -> Self:
        """Return a pace whose pauses are 10 s, or `refresh_s` where that is less."""
        return cls(refresh_s, max_stale_s, min(RETRY_S, refresh_s))


class IssuerKeys:
    """The keys of one issuer; `with` it, a thread refreshes them.

    The last good set is kept while the issuer is away. An unknown key's name asks for a refresh,
    at most one in `retry_s`: whoever sends names at random gains and costs nothing.
    """

    def __init__(  # noqa: PLR0913  (whose keys, where they are, and what to do about them)
        self,
        name: str,
        place: Place,
        algorithms: Collection[str],
        *,
        pace: Pace,
        on_refresh: Callable[[str], None],
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """Know no key yet; `on_refresh` is told one of `OUTCOMES`, in the thread."""
        self._name = name
        self._place = place
        self.algorithms = frozenset(algorithms)
        self._pace = pace
        self._on_refresh = on_refresh
        self._ticks = ticks
        self._keys = _UNREAD
        self._good_until = -math.inf
        self._wanted = threading.Event()
        self._looked = threading.Event()
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        """Start to look for keys."""
        name = f"keys of {self._name}"
        threading.Thread(target=self._refresh_on, name=name, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop looking; a look that is under way ends by itself."""
        self._stopping.set()
        self._wanted.set()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the first look has ended, well or not; False: it has not in this time."""
        return self._looked.wait(timeout_s)

    def find(self, key_id: str | None, algorithm: str) -> PublicKey | TokenDenial:
        """Return the key that a token names, or why there is none."""
        if self._are_stale():
            return TokenDenial.KEYS_AWAY
        key = self._keys.find(key_id, algorithm)
        if key is None:
            self._wanted.set()
            return TokenDenial.UNKNOWN_KEY
        return key

    def denial_of(self, key: PublicKey, algorithm: str) -> TokenDenial | None:
        """Say why a key that was found before proves nothing any more; None: it does."""
        if self._are_stale():
            return TokenDenial.KEYS_AWAY
        return None if self._keys.holds(key, algorithm) else TokenDenial.UNKNOWN_KEY

    def refresh(self) -> bool:
        """Look once; say whether keys were read. What fails leaves the keys as they are."""
        began = self._ticks()
        try:
            self._keys = read_key_set(self._place(), self.algorithms)
        except KeysNotRead as error:
            reason: str = error.reason
        except Exception as error:  # noqa: BLE001  (the thread must outlive whatever comes)
            _log.error("reading the keys of issuer %s failed: %s", self._name, type(error).__name__)
            reason = FAILED
        else:
            self._good_until = began + self._pace.max_stale_s
            self._on_refresh(OK)
            return True
        _log.warning("the keys of issuer %s could not be read: %s", self._name, reason)
        self._on_refresh(reason)
        return False

    def _are_stale(self) -> bool:
        return self._ticks() >= self._good_until

    def _refresh_on(self) -> None:
        while not self._stopping.is_set():
            self._wanted.clear()
            is_read = self.refresh()
            self._looked.set()
            self._stopping.wait(self._pace.retry_s)
            if is_read:
                self._wanted.wait(max(0.0, self._pace.refresh_s - self._pace.retry_s))
