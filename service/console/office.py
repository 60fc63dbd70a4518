"""What the routes of the admin API share: the store, and changes that leave an entry."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sqlalchemy import Connection

from service.core.audit import Entry
from service.core.points import PointFacts
from service.core.roles import Admin
from service.store import Store
from service.store.audit import AuditLog
from service.store.owners import Origin
from service.store.revision import take_turn

NO_FACTS: Final = PointFacts()
Facts = Mapping[str, Any]
"""Plain JSON values by name; never a secret or a digest."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that the settings register, with the safeguards that it is not served without."""

    name: str
    tier: int
    upstream: str
    safeguards: tuple[str, ...]


class Keyring(Protocol):
    """The secrets of this installation, each made or read when it is first needed."""

    @property
    def peppers(self) -> Sequence[bytes]:
        """The peppers that keys and tokens may be stored under, the newest first."""
        ...

    def pepper(self, connection: Connection) -> bytes:
        """What new keys and tokens are digested under, as of this transaction."""
        ...

    @property
    def audit_log(self) -> AuditLog:
        """The audit log, under its key."""
        ...


class Change:
    """A transaction that changes something, in somebody's name."""

    def __init__(
        self, connection: Connection, now: float, who: Admin, reason: str | None, log: AuditLog
    ) -> None:
        """Change nothing yet."""
        self.connection = connection
        self.now = now
        self.reason = reason
        self.origin = Origin(now, who.actor)
        self._log = log

    def record(
        self, action: str, object_: str, before: Facts | None = None, after: Facts | None = None
    ) -> None:
        """Write into the audit log what was done; it stays if the change does."""
        entry = Entry(self.now, self.origin.by, action, object_, before, after, self.reason)
        self._log.record(self.connection, entry)

    def record_difference(self, action: str, object_: str, old: Facts, new: Facts) -> bool:
        """Write what is not as it was; False: all is, and nothing was written."""
        differing = [name for name in new if old[name] != new[name]]
        if differing:
            before, after = ({name: it[name] for name in differing} for it in (old, new))
            self.record(action, object_, before, after)
        return bool(differing)


class Office:
    """Where every route looks things up and changes them."""

    def __init__(  # noqa: PLR0913, PLR0917  (what an installation is)
        self,
        store: Store,
        models: Sequence[KnownModel],
        version: str,
        clock: Callable[[], float],
        keyring: Keyring,
        points: PointFacts = NO_FACTS,
    ) -> None:
        """Look nothing up yet."""
        self.models = models
        self.points = points
        self.version = version
        self.clock = clock
        self.keyring = keyring
        self._store = store

    def read(self) -> AbstractContextManager[Connection]:
        """Give a connection that sees one state of the store."""
        return self._store.read()

    @contextmanager
    def change(self, who: Admin, reason: str | None) -> Iterator[Change]:
        """Change something: all of it happens, with its entries, or nothing."""
        log = self.keyring.audit_log
        with self._store.begin() as connection:
            take_turn(connection)
            yield Change(connection, self.clock(), who, reason, log)
